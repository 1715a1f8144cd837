-- What readers see: the newest version of each lineage, its attempts and tries one a row, events and dead letters.
CREATE VIEW IF NOT EXISTS lineage AS
SELECT
    bucket, request_id, rec_id, trace_id, trace_id_source, start_time, end_time, duration_ms,
    outcome, `match`, missing, final, method, scheme, host, path, query, http_version, status, user_agent,
    client_ip, client_port, request_bytes, response_bytes, service, route,
    `identity.kind` AS identity_kind, `identity.consumer_id` AS consumer_id,
    `identity.consumer_name` AS consumer_name, `identity.custom_id` AS custom_id,
    `identity.credential_id` AS credential_id, `identity.subject` AS subject, `identity.proof` AS identity_proof,
    `verdict.domain` AS verdict_domain, `verdict.code` AS verdict_code, `verdict.text` AS verdict_text,
    flags, delivered, length(`attempts.attempt_id`) AS attempt_count, length(`tries.attempt`) AS try_count,
    has_edge, `edge.node` AS edge_node, `edge.pid` AS edge_pid, `edge.log_counter` AS edge_log_counter,
    `edge.frontend` AS edge_frontend, `edge.backend` AS edge_backend, `edge.server` AS edge_server,
    `edge.termination` AS edge_termination, `edge.retries` AS edge_retries, `edge.pool` AS edge_pool,
    `edge.timers.TR` AS timer_TR, `edge.timers.Tw` AS timer_Tw, `edge.timers.Tc` AS timer_Tc,
    `edge.timers.Tr` AS timer_Tr, `edge.timers.Td` AS timer_Td, `edge.timers.Ta` AS timer_Ta,
    `edge.tls.version` AS tls_version, `edge.tls.cipher` AS tls_cipher, `edge.tls.sni` AS tls_sni,
    `attempts.latencies.kong`[shown] AS gateway_ms, `attempts.latencies.proxy`[shown] AS upstream_ms,
    clock_offset_ms, rev
FROM lineage_versions FINAL
WHERE has_edge OR NOT (bucket, request_id) IN (
    SELECT bucket, request_id FROM lineage_versions FINAL WHERE has_edge AND length(`attempts.attempt_id`) > 0
);

CREATE VIEW IF NOT EXISTS attempts AS
SELECT
    bucket, request_id, rec_id, trace_id, outcome, final, start_time, number,
    `identity.consumer_name` AS consumer_name,
    isNotNull(delivered) AND assumeNotNull(delivered) = number AS is_delivered,
    `attempts.gateway_request_id`[number + 1] AS gateway_request_id, `attempts.node`[number + 1] AS node,
    `attempts.started_at`[number + 1] AS started_at, `attempts.status`[number + 1] AS status,
    `attempts.source`[number + 1] AS source, `attempts.service`[number + 1] AS service,
    `attempts.route`[number + 1] AS route, `attempts.workspace`[number + 1] AS workspace,
    `attempts.latencies.kong`[number + 1] AS kong_ms, `attempts.latencies.proxy`[number + 1] AS proxy_ms,
    `attempts.latencies.receive`[number + 1] AS receive_ms, `attempts.latencies.request`[number + 1] AS request_ms,
    `attempts.upstream_uri`[number + 1] AS upstream_uri, `attempts.upstream_status`[number + 1] AS upstream_status
FROM lineage_versions FINAL
ARRAY JOIN range(length(`attempts.attempt_id`)) AS number;

CREATE VIEW IF NOT EXISTS tries AS
SELECT
    bucket, request_id, rec_id, trace_id, start_time, tries.attempt AS attempt,
    `attempts.gateway_request_id`[tries.attempt + 1] AS gateway_request_id,
    `attempts.service`[tries.attempt + 1] AS service,
    tries.ip AS ip, tries.port AS port, tries.state AS state, tries.code AS code,
    tries.started_at AS started_at, tries.balancer_ms AS balancer_ms
FROM lineage_versions FINAL
ARRAY JOIN tries.attempt, tries.ip, tries.port, tries.state, tries.code, tries.started_at, tries.balancer_ms;

CREATE VIEW IF NOT EXISTS edge_events AS SELECT * FROM edge_event_versions FINAL;

CREATE VIEW IF NOT EXISTS dead_letters AS SELECT * FROM dead_letter_versions FINAL;
