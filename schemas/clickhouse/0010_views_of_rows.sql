-- The views over the rows of 0009, with the columns that they had.
CREATE OR REPLACE VIEW lineage AS
SELECT
    request_id, trace_id, trace_id_source, start_time, end_time, duration_ms, outcome, match, missing,
    final, method, scheme, host, path, query, http_version, status, user_agent, client_ip, client_port,
    request_bytes, response_bytes, service, route, `edge.offset`, `edge.start_time`,
    `edge.gateway_request_id`, `edge.traceparent`, `edge.request_start_time`, `edge.end_time`,
    `edge.node`, `edge.pid`, `edge.log_counter`, `edge.frontend`, `edge.backend`, `edge.server`,
    `edge.server_ip`, `edge.server_port`, `edge.client_ip`, `edge.client_port`, `edge.timers.TR`,
    `edge.timers.Tw`, `edge.timers.Tc`, `edge.timers.Tr`, `edge.timers.Td`, `edge.timers.Ta`,
    `edge.timers.Th`, `edge.timers.Ti`, `edge.status`, `edge.termination`, `edge.retries`,
    `edge.redispatched`, `edge.request_bytes`, `edge.response_bytes`, `edge.method`, `edge.scheme`,
    `edge.host`, `edge.path`, `edge.query`, `edge.http_version`, `edge.user_agent`, `edge.tls.version`,
    `edge.tls.cipher`, `edge.tls.sni`, `edge.tls.client_verify`, `edge.tls.client_dn`,
    `edge.claimed.request_id`, `edge.claimed.traceparent`, `edge.pool`, `edge.error`, `edge.flags`,
    `attempts.attempt_id`, `attempts.offset`, `attempts.request_ids`, `attempts.started_at`,
    `attempts.gateway_request_id`, `attempts.correlation_id`, `attempts.trace_id`,
    `attempts.traceparent`, `attempts.request_start_time`, `attempts.node`, `attempts.latencies.kong`,
    `attempts.latencies.proxy`, `attempts.latencies.receive`, `attempts.latencies.request`,
    `attempts.status`, `attempts.source`, `attempts.method`, `attempts.scheme`, `attempts.host`,
    `attempts.path`, `attempts.query`, `attempts.user_agent`, `attempts.upstream_uri`,
    `attempts.upstream_status`, `attempts.request_bytes`, `attempts.response_bytes`,
    `attempts.client_ip`, `attempts.service`, `attempts.service_id`, `attempts.route`,
    `attempts.route_id`, `attempts.workspace`, `attempts.consumer_id`, `attempts.consumer_name`,
    `attempts.custom_id`, `attempts.credential_id`, `attempts.anonymous`, `attempts.claim_subject`,
    `attempts.tls.version`, `attempts.tls.cipher`, `attempts.flags`, `attempts.headers`, `tries.attempt`,
        `tries.ip`,
    `tries.port`, `tries.state`, `tries.code`, `tries.started_at`, `tries.balancer_ms`, `identity.kind`,
    `identity.consumer_id`, `identity.consumer_name`, `identity.custom_id`, `identity.credential_id`,
    `identity.subject`, `identity.proof`, `verdict.domain`, `verdict.code`, `verdict.text`, flags,
    clock_offset_ms, delivered, bucket, rec_id, rev, request_ids, gateway_request_ids, has_edge,
    `spans.decision`, `spans.sent`, `spans.parent_id`, span_trace_id, edge_span_id
FROM lineage_rows FINAL;

-- What says that an attempt was delivered: key B, which the edge captured, or evidence.
CREATE OR REPLACE VIEW attempts AS
SELECT
    request_id, trace_id, bucket, rec_id, outcome, match, final, a_number - 1 AS attempt,
    multiIf(
        isNotNull(delivered), CAST(a_number - 1 = delivered, 'Nullable(Bool)'),
        NOT has_edge, NULL,
        `edge.gateway_request_id` != '' OR substring(`edge.termination`, 2, 1) IN ('H', 'C'), false,
        NULL
    ) AS delivered,
    multiIf(
        NOT ifNull(delivered, false), '',
        `edge.gateway_request_id` != '' AND a_gateway_request_id = `edge.gateway_request_id`, 'gateway_request_id',
        'evidence'
    ) AS delivered_by,
    a_attempt_id AS attempt_id, a_offset AS offset, a_request_ids AS request_ids,
    a_started_at AS started_at, a_gateway_request_id AS gateway_request_id,
    a_correlation_id AS correlation_id, a_trace_id AS logged_trace_id, a_traceparent AS traceparent,
    a_request_start_time AS request_start_time, a_node AS node, a_latencies_request AS duration_ms,
    a_latencies_kong AS `latencies.kong`, a_latencies_proxy AS `latencies.proxy`,
    a_latencies_receive AS `latencies.receive`, a_latencies_request AS `latencies.request`,
    a_status AS status, a_source AS source, a_method AS method, a_scheme AS scheme, a_host AS host,
    a_path AS path, a_query AS query, a_user_agent AS user_agent, a_upstream_uri AS upstream_uri,
    a_upstream_status AS upstream_status, a_request_bytes AS request_bytes,
    a_response_bytes AS response_bytes, a_client_ip AS client_ip, a_service AS service,
    a_service_id AS service_id, a_route AS route, a_route_id AS route_id, a_workspace AS workspace,
    a_consumer_id AS consumer_id, a_consumer_name AS consumer_name, a_custom_id AS custom_id,
    a_credential_id AS credential_id, a_anonymous AS anonymous, a_claim_subject AS claim_subject,
    a_tls_version AS `tls.version`, a_tls_cipher AS `tls.cipher`, a_flags AS flags,
    a_headers AS headers
FROM lineage_rows FINAL
ARRAY JOIN
    arrayEnumerate(`attempts.attempt_id`) AS a_number,
    `attempts.attempt_id` AS a_attempt_id, `attempts.offset` AS a_offset,
    `attempts.request_ids` AS a_request_ids, `attempts.started_at` AS a_started_at,
    `attempts.gateway_request_id` AS a_gateway_request_id, `attempts.correlation_id` AS a_correlation_id,
    `attempts.trace_id` AS a_trace_id, `attempts.traceparent` AS a_traceparent,
    `attempts.request_start_time` AS a_request_start_time, `attempts.node` AS a_node,
    `attempts.latencies.kong` AS a_latencies_kong, `attempts.latencies.proxy` AS a_latencies_proxy,
    `attempts.latencies.receive` AS a_latencies_receive,
    `attempts.latencies.request` AS a_latencies_request, `attempts.status` AS a_status,
    `attempts.source` AS a_source, `attempts.method` AS a_method, `attempts.scheme` AS a_scheme,
    `attempts.host` AS a_host, `attempts.path` AS a_path, `attempts.query` AS a_query,
    `attempts.user_agent` AS a_user_agent, `attempts.upstream_uri` AS a_upstream_uri,
    `attempts.upstream_status` AS a_upstream_status, `attempts.request_bytes` AS a_request_bytes,
    `attempts.response_bytes` AS a_response_bytes, `attempts.client_ip` AS a_client_ip,
    `attempts.service` AS a_service, `attempts.service_id` AS a_service_id, `attempts.route` AS a_route,
    `attempts.route_id` AS a_route_id, `attempts.workspace` AS a_workspace,
    `attempts.consumer_id` AS a_consumer_id, `attempts.consumer_name` AS a_consumer_name,
    `attempts.custom_id` AS a_custom_id, `attempts.credential_id` AS a_credential_id,
    `attempts.anonymous` AS a_anonymous, `attempts.claim_subject` AS a_claim_subject,
    `attempts.tls.version` AS a_tls_version, `attempts.tls.cipher` AS a_tls_cipher,
    `attempts.flags` AS a_flags, `attempts.headers` AS a_headers;

-- One row a try of Kong's balancer, counted from 0 within its attempt.
CREATE OR REPLACE VIEW tries AS
SELECT
    request_id, trace_id, bucket, rec_id, t_attempt AS attempt, t_number - 1 AS try,
    `attempts.gateway_request_id`[t_attempt + 1] AS gateway_request_id,
    `attempts.service`[t_attempt + 1] AS service, `attempts.route`[t_attempt + 1] AS route,
    t_ip AS ip, t_port AS port, t_state AS state, t_code AS code, t_started_at AS started_at,
    t_balancer_ms AS balancer_ms
FROM lineage_rows FINAL
ARRAY JOIN
    `tries.attempt` AS t_attempt, arrayEnumerateUniq(`tries.attempt`) AS t_number, `tries.ip` AS t_ip,
    `tries.port` AS t_port, `tries.state` AS t_state, `tries.code` AS t_code,
    `tries.started_at` AS t_started_at, `tries.balancer_ms` AS t_balancer_ms;

-- Every line of HAProxy's that carries its frontend's log counter, once for each version that is stored: `line`
-- names it, `time` is when it was logged. Ask for a stretch of `bucket`, or all is read.
CREATE OR REPLACE VIEW edge_counters AS
SELECT
    bucket, `edge.node` AS node, `edge.pid` AS pid, `edge.frontend` AS frontend,
    assumeNotNull(`edge.log_counter`) AS log_counter,
    if(`edge.end_us` = 0, end_time, `edge.end_time`) AS time,
    `edge.offset` AS offset, rec_id AS line
FROM lineage_rows
WHERE has_edge AND isNotNull(`edge.log_counter`) AND NOT is_deleted
UNION ALL
SELECT
    toDateTime(arrival_time, 'UTC') AS bucket, node, pid, proxy AS frontend,
    assumeNotNull(counter) AS log_counter,
    if(toUnixTimestamp64Micro(logged) = 0, toDateTime64(arrival_time, 6, 'UTC'), logged) AS time,
    offset, cityHash64(text, client_ip, toUnixTimestamp64Micro(logged)) AS line
FROM (
    SELECT arrival_time, node, pid, proxy, log_counter AS counter, time AS logged, offset, text, client_ip
    FROM edge_event_versions
    WHERE isNotNull(log_counter)
);
