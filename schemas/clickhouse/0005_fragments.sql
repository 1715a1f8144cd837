-- Records of which a half is missing or came late, kept before the store is asked for the rest. Whoever of two
-- writers asks last finds what the other has, so that a race of both leaves one whole lineage. The record is
-- redacted, as in the lineage; a day later nobody races for it any more.
CREATE TABLE IF NOT EXISTS fragments (
    bucket DateTime('UTC') CODEC(Delta, ZSTD(1)),
    hash UInt64 CODEC(NONE),
    source LowCardinality(String),
    request_ids Array(String) CODEC(ZSTD(1)),
    gateway_request_ids Array(String) CODEC(ZSTD(1)),
    rec_id UInt64 CODEC(NONE),
    record String CODEC(ZSTD(1)),
    kept_at DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(kept_at)
ORDER BY (bucket, hash)
TTL kept_at + INTERVAL 1 DAY
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1;

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
FROM lineage_versions FINAL
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
