-- The lineages anew: the edge record and the attempts are one column each. Of a hundred columns that are read
-- together, planning alone cost more than reading; by name each element is asked for as before (`edge.status`,
-- `attempts.service`) and read alone. Small granules, since one row is what is asked for most.
-- Whoever writes is stopped meanwhile: what comes into the old table after it was copied is not copied.
CREATE TABLE IF NOT EXISTS lineage_rows (
    `bucket` DateTime('UTC') CODEC(Delta, ZSTD(1)),
    `request_id` String CODEC(ZSTD(1)),
    `rec_id` UInt64 CODEC(NONE),
    `rev` UInt32 CODEC(T64, ZSTD(1)),
    `is_deleted` UInt8,
    `outcome` LowCardinality(String),
    `match` LowCardinality(String),
    `missing` LowCardinality(String),
    `final` Bool,
    `delivered` Nullable(UInt16) CODEC(T64, ZSTD(1)),
    `trace_id` String CODEC(ZSTD(1)),
    `trace_id_source` LowCardinality(String),
    `identity.kind` LowCardinality(String),
    `identity.consumer_id` String CODEC(ZSTD(1)),
    `identity.consumer_name` LowCardinality(String),
    `identity.custom_id` String CODEC(ZSTD(1)),
    `identity.credential_id` String CODEC(ZSTD(1)),
    `identity.subject` String CODEC(ZSTD(1)),
    `identity.proof` LowCardinality(String),
    `verdict.domain` LowCardinality(String),
    `verdict.code` LowCardinality(String),
    `verdict.text` LowCardinality(String),
    `flags` Array(String) CODEC(ZSTD(1)),
    `clock_offset_ms` Nullable(Float64) CODEC(ZSTD(1)),
    `spans.decision` LowCardinality(String),
    `spans.sent` UInt16 CODEC(T64, ZSTD(1)),
    `spans.parent_id` String CODEC(ZSTD(1)),

    -- What the edge logged. Times that are sent and read as numbers are kept as such: microseconds, UTC.
    `has_edge` Bool,
    `edge` Tuple(
        `offset` Int64,
        `start_us` Int64,
        `gateway_request_id` String,
        `traceparent` String,
        `request_start_us` Int64,
        `end_us` Int64,
        `node` LowCardinality(String),
        `pid` UInt32,
        `log_counter` Nullable(Int64),
        `frontend` LowCardinality(String),
        `backend` LowCardinality(String),
        `server` LowCardinality(String),
        `server_ip` String,
        `server_port` UInt16,
        `client_ip` String,
        `client_port` UInt16,
        `timers` Tuple(
            TR Nullable(Int64),
            Tw Nullable(Int64),
            Tc Nullable(Int64),
            Tr Nullable(Int64),
            Td Nullable(Int64),
            Ta Nullable(Int64),
            Th Nullable(Int64),
            Ti Nullable(Int64)
        ),
        `status` UInt16,
        `termination` LowCardinality(String),
        `retries` UInt32,
        `redispatched` Bool,
        `request_bytes` Nullable(Int64),
        `response_bytes` Nullable(Int64),
        `method` String,
        `scheme` String,
        `host` String,
        `path` String,
        `query` String,
        `http_version` String,
        `user_agent` String,
        `tls.version` String,
        `tls.cipher` String,
        `tls.sni` String,
        `tls.client_verify` String,
        `tls.client_dn` String,
        `claimed.request_id` String,
        `claimed.traceparent` String,
        `pool` String,
        `error` String,
        `flags` Array(String)
    ) CODEC(ZSTD(1)),

    -- What the gateway logged: one element an attempt, oldest first, each with the tries of its balancer.
    `attempts` Array(Tuple(
        `attempt_id` UInt64,
        `offset` Int64,
        `request_ids` Array(String),
        `started_us` Int64,
        `gateway_request_id` String,
        `correlation_id` String,
        `trace_id` String,
        `traceparent` String,
        `request_start_us` Int64,
        `node` String,
        `latencies.kong` Nullable(Float64),
        `latencies.proxy` Nullable(Float64),
        `latencies.receive` Nullable(Float64),
        `latencies.request` Nullable(Float64),
        `status` UInt16,
        `source` String,
        `method` String,
        `scheme` String,
        `host` String,
        `path` String,
        `query` String,
        `user_agent` String,
        `upstream_uri` String,
        `upstream_status` Array(String),
        `request_bytes` Nullable(Int64),
        `response_bytes` Nullable(Int64),
        `client_ip` String,
        `service` String,
        `service_id` String,
        `route` String,
        `route_id` String,
        `workspace` String,
        `consumer_id` String,
        `consumer_name` String,
        `custom_id` String,
        `credential_id` String,
        `anonymous` Bool,
        `claim_subject` String,
        `tls.version` String,
        `tls.cipher` String,
        `tries` Array(Tuple(
            `ip` String,
            `port` UInt16,
            `state` String,
            `code` UInt16,
            `started_us` Int64,
            `balancer_ms` Nullable(Float64)
        )),
        `flags` Array(String),
        `headers` Map(String, String)
    )) CODEC(ZSTD(1)),

    -- What follows. The attempt shown is the delivered one, else the last; 0 where there is none.
    `shown` UInt16 ALIAS if(isNull(delivered), length(`attempts.attempt_id`), assumeNotNull(delivered) + 1),
    `start_time` DateTime64(6, 'UTC') MATERIALIZED
        fromUnixTimestamp64Micro(if(has_edge, `edge.start_us`, arrayMin(`attempts.started_us`)), 'UTC')
        CODEC(Delta, ZSTD(1)),
    `duration_ms` Float64 MATERIALIZED multiIf(
        has_edge AND isNotNull(`edge.timers.Ta`), assumeNotNull(`edge.timers.Ta`),
        has_edge AND `edge.end_us` != 0, greatest(`edge.end_us` - `edge.start_us`, 0) / 1000,
        has_edge, 0,
        (arrayMax((s, d) -> s + toInt64(ifNull(d, 0) * 1000), `attempts.started_us`, `attempts.latencies.request`)
            - arrayMin(`attempts.started_us`)) / 1000
    ) CODEC(ZSTD(1)),
    `end_time` DateTime64(6, 'UTC') ALIAS
        fromUnixTimestamp64Micro(toUnixTimestamp64Micro(start_time) + toInt64(round(duration_ms * 1000)), 'UTC'),
    `status` UInt16 MATERIALIZED if(has_edge, `edge.status`, `attempts.status`[shown]) CODEC(T64, ZSTD(1)),
    `method` LowCardinality(String) MATERIALIZED
        if(`edge.method` != '', `edge.method`, `attempts.method`[shown]),
    `host` LowCardinality(String) MATERIALIZED if(`edge.host` != '', `edge.host`, `attempts.host`[shown]),
    `service` LowCardinality(String) MATERIALIZED `attempts.service`[shown],
    `route` LowCardinality(String) MATERIALIZED `attempts.route`[shown],
    `scheme` String ALIAS if(`edge.scheme` != '', `edge.scheme`, `attempts.scheme`[shown]),
    `path` String ALIAS if(`edge.path` != '', `edge.path`, `attempts.path`[shown]),
    `query` String ALIAS if(`edge.query` != '', `edge.query`, `attempts.query`[shown]),
    `user_agent` String ALIAS if(`edge.user_agent` != '', `edge.user_agent`, `attempts.user_agent`[shown]),
    `http_version` String ALIAS `edge.http_version`,
    `client_ip` String ALIAS if(has_edge, `edge.client_ip`, `attempts.client_ip`[shown]),
    `client_port` UInt16 ALIAS `edge.client_port`,
    `request_bytes` Nullable(Int64) ALIAS if(has_edge, `edge.request_bytes`, `attempts.request_bytes`[shown]),
    `response_bytes` Nullable(Int64) ALIAS if(has_edge, `edge.response_bytes`, `attempts.response_bytes`[shown]),

    -- Times as such, and the tries of all attempts in order; `tries.attempt` is the attempt's index, from 0.
    `edge.start_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(`edge.start_us`, 'UTC'),
    `edge.request_start_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(`edge.request_start_us`, 'UTC'),
    `edge.end_time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(`edge.end_us`, 'UTC'),
    `attempts.started_at` Array(DateTime64(6, 'UTC')) ALIAS
        arrayMap(x -> fromUnixTimestamp64Micro(x, 'UTC'), `attempts.started_us`),
    `attempts.request_start_time` Array(DateTime64(6, 'UTC')) ALIAS
        arrayMap(x -> fromUnixTimestamp64Micro(x, 'UTC'), `attempts.request_start_us`),
    `tries.attempt` Array(UInt16) ALIAS arrayFlatten(arrayMap(
        (t, i) -> arrayWithConstant(length(t), toUInt16(i - 1)), `attempts.tries`, arrayEnumerate(`attempts.tries`)
    )),
    `tries.ip` Array(String) ALIAS arrayFlatten(`attempts.tries.ip`),
    `tries.port` Array(UInt16) ALIAS arrayFlatten(`attempts.tries.port`),
    `tries.state` Array(String) ALIAS arrayFlatten(`attempts.tries.state`),
    `tries.code` Array(UInt16) ALIAS arrayFlatten(`attempts.tries.code`),
    `tries.started_at` Array(DateTime64(6, 'UTC')) ALIAS
        arrayMap(x -> fromUnixTimestamp64Micro(x, 'UTC'), arrayFlatten(`attempts.tries.started_us`)),
    `tries.balancer_ms` Array(Nullable(Float64)) ALIAS arrayFlatten(`attempts.tries.balancer_ms`),

    -- The trace of its spans: the one that was logged, else one made of the id that the request is found by.
    made_trace_id String MATERIALIZED if(notEmpty(trace_id), '', arrayMap(
        t -> if(
            match(lower(replaceAll(t, '-', '')), '^[0-9a-f]{32}$') AND match(t, '[^-0]'),
            lower(replaceAll(t, '-', '')),
            lower(hex(substring(SHA256(concat('lineage/trace/', if(empty(t), toString(rec_id), t))), 1, 16)))
        ),
        [multiIf(
            lengthUTF8(request_id) >= 8 AND length(arrayDistinct(ngrams(request_id, 1))) >= 4
            AND NOT has(flags, 'constant_id'), request_id,
            notEmpty(`edge.gateway_request_id`), `edge.gateway_request_id`,
            `attempts.gateway_request_id`[1]
        )]
    )[1]) CODEC(ZSTD(1)),
    span_trace_id String ALIAS if(notEmpty(trace_id), trace_id, made_trace_id),
    edge_span_id String ALIAS if(
        match(`edge.traceparent`, '(?s)^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$')
        AND substring(`edge.traceparent`, 1, 2) != 'ff' AND NOT (substring(`edge.traceparent`, 1, 2) = '00'
            AND length(`edge.traceparent`) > 55)
        AND match(substring(`edge.traceparent`, 4, 32), '[^0]') AND match(substring(`edge.traceparent`, 37, 16),
            '[^0]')
        AND substring(`edge.traceparent`, 4, 32) = span_trace_id AND NOT (match(`edge.claimed.traceparent`,
            '(?s)^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$')
        AND substring(`edge.claimed.traceparent`, 1, 2) != 'ff' AND NOT (substring(`edge.claimed.traceparent`, 1,
            2) = '00' AND length(`edge.claimed.traceparent`) > 55)
        AND match(substring(`edge.claimed.traceparent`, 4, 32), '[^0]')
            AND match(substring(`edge.claimed.traceparent`, 37, 16), '[^0]')
        AND substring(`edge.claimed.traceparent`, 37, 16) = substring(`edge.traceparent`, 37, 16)),
        substring(`edge.traceparent`, 37, 16),
        lower(hex(substring(SHA256(concat(span_trace_id, '|edge|', toString(rec_id))), 1, 8)))
    ),

    -- Every id that a record brought.
    `request_ids` Array(String) ALIAS arrayConcat([request_id], arrayFlatten(`attempts.request_ids`)),
    `gateway_request_ids` Array(String) ALIAS
        arrayConcat([`edge.gateway_request_id`], `attempts.gateway_request_id`),

    -- None over what is in the tuples: merges would take them whole through the memory, row by row.
    INDEX ix_trace_id trace_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX ix_span_trace_id if(notEmpty(trace_id), trace_id, made_trace_id) TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX ix_consumer_name `identity.consumer_name` TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX ix_consumer_id `identity.consumer_id` TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX ix_start_time start_time TYPE minmax GRANULARITY 4
)
ENGINE = ReplacingMergeTree(rev, is_deleted)
PARTITION BY toDate(bucket)
ORDER BY (bucket, request_id, rec_id)
SETTINGS
    index_granularity = 2048,
    min_compress_block_size = 16384,
    -- A batch is written several times faster as one file than as files of each column.
    min_bytes_for_wide_part = 134217728,
    min_rows_for_wide_part = 0,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    non_replicated_deduplication_window = 1000;

-- Which rows have an id: found at once in any number of them, where an index asks each granule. Hashes and the
-- lower half of `rec_id` are enough to find few rows; who asks looks whether they are right. None lacks: what
-- is put into the one table comes into the other with the same statement, and again where that is repeated.
CREATE TABLE IF NOT EXISTS lineage_ids (
    hash UInt32 CODEC(Delta, ZSTD(1)),
    bucket DateTime('UTC') CODEC(ZSTD(1)),
    rec UInt32 CODEC(NONE)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(bucket)
ORDER BY (hash, bucket, rec)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS lineage_ids_of_rows TO lineage_ids AS
SELECT xxHash32(id) AS hash, bucket, toUInt32(bitAnd(rec_id, 4294967295)) AS rec
FROM lineage_rows
ARRAY JOIN arrayDistinct(arrayFilter(x -> notEmpty(x), arrayConcat(
    [request_id, span_trace_id, `edge.gateway_request_id`],
    `attempts.gateway_request_id`, `attempts.trace_id`, arrayFlatten(`attempts.request_ids`)
))) AS id
WHERE NOT is_deleted;

-- What was there. All versions, tombstones too: which of them counts is still to be found out.
INSERT INTO lineage_rows (
    `bucket`, `request_id`, `rec_id`, `rev`, `is_deleted`, `outcome`, `match`, `missing`, `final`, `delivered`,
    `trace_id`, `trace_id_source`, `identity.kind`, `identity.consumer_id`, `identity.consumer_name`,
    `identity.custom_id`, `identity.credential_id`, `identity.subject`, `identity.proof`, `verdict.domain`,
    `verdict.code`, `verdict.text`, `flags`, `clock_offset_ms`, `spans.decision`, `spans.sent`, `spans.parent_id`,
    has_edge, edge, attempts
)
SELECT
    `bucket`, `request_id`, `rec_id`, `rev`, `is_deleted`, `outcome`, `match`, `missing`, `final`, `delivered`,
    `trace_id`, `trace_id_source`, `identity.kind`, `identity.consumer_id`, `identity.consumer_name`,
    `identity.custom_id`, `identity.credential_id`, `identity.subject`, `identity.proof`, `verdict.domain`,
    `verdict.code`, `verdict.text`, `flags`, `clock_offset_ms`, `spans.decision`, `spans.sent`, `spans.parent_id`,
    has_edge,
    tuple(
        `edge.offset`, toUnixTimestamp64Micro(`edge.start_time`), `edge.gateway_request_id`, `edge.traceparent`,
        toUnixTimestamp64Micro(`edge.request_start_time`), toUnixTimestamp64Micro(`edge.end_time`), `edge.node`,
        `edge.pid`, `edge.log_counter`, `edge.frontend`, `edge.backend`, `edge.server`, `edge.server_ip`,
        `edge.server_port`, `edge.client_ip`, `edge.client_port`, tuple(`edge.timers.TR`, `edge.timers.Tw`,
        `edge.timers.Tc`, `edge.timers.Tr`, `edge.timers.Td`, `edge.timers.Ta`, `edge.timers.Th`, `edge.timers.Ti`),
        `edge.status`, `edge.termination`, `edge.retries`, `edge.redispatched`, `edge.request_bytes`,
        `edge.response_bytes`, `edge.method`, `edge.scheme`, `edge.host`, `edge.path`, `edge.query`,
        `edge.http_version`, `edge.user_agent`, `edge.tls.version`, `edge.tls.cipher`, `edge.tls.sni`,
        `edge.tls.client_verify`, `edge.tls.client_dn`, `edge.claimed.request_id`, `edge.claimed.traceparent`,
        `edge.pool`, `edge.error`, `edge.flags`
    ),
    arrayZip(
        `attempts.attempt_id`, `attempts.offset`, `attempts.request_ids`,
        arrayMap(x -> toUnixTimestamp64Micro(x), `attempts.started_at`), `attempts.gateway_request_id`,
        `attempts.correlation_id`, `attempts.trace_id`, `attempts.traceparent`,
        arrayMap(x -> toUnixTimestamp64Micro(x), `attempts.request_start_time`), `attempts.node`,
        `attempts.latencies.kong`, `attempts.latencies.proxy`, `attempts.latencies.receive`,
        `attempts.latencies.request`, `attempts.status`, `attempts.source`, `attempts.method`, `attempts.scheme`,
        `attempts.host`, `attempts.path`, `attempts.query`, `attempts.user_agent`, `attempts.upstream_uri`,
        `attempts.upstream_status`, `attempts.request_bytes`, `attempts.response_bytes`, `attempts.client_ip`,
        `attempts.service`, `attempts.service_id`, `attempts.route`, `attempts.route_id`, `attempts.workspace`,
        `attempts.consumer_id`, `attempts.consumer_name`, `attempts.custom_id`, `attempts.credential_id`,
        `attempts.anonymous`, `attempts.claim_subject`, `attempts.tls.version`, `attempts.tls.cipher`,
        arrayMap(n -> arrayMap(p -> p.2, arrayFilter(p -> p.1 = n - 1, arrayZip(`tries.attempt`, arrayZip(`tries.ip`,
        `tries.port`, `tries.state`, `tries.code`, arrayMap(x -> toUnixTimestamp64Micro(x), `tries.started_at`),
        `tries.balancer_ms`)))), arrayEnumerate(`attempts.attempt_id`)), `attempts.flags`, `attempts.headers`
    )
FROM lineage_versions
SETTINGS max_partitions_per_insert_block = 0, min_insert_block_size_rows = 65536,
    min_insert_block_size_bytes = 134217728, async_insert = 0;
