-- Closed minutes, counted. A minute is made anew from its lineages whenever one of them changes, so that a row is
-- never counted twice; the newest `version` of a key counts, and a key that a minute no longer has is buried.
CREATE TABLE IF NOT EXISTS lineage_minute_versions (
    minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    route LowCardinality(String),
    host LowCardinality(String),
    outcome LowCardinality(String),
    missing LowCardinality(String),
    status_class UInt8,
    version UInt64 CODEC(Delta, ZSTD(1)),
    is_deleted UInt8,
    requests UInt64 CODEC(T64, ZSTD(1)),
    errors UInt64 CODEC(T64, ZSTD(1)),
    attempts UInt64 CODEC(T64, ZSTD(1)),
    tries UInt64 CODEC(T64, ZSTD(1)),
    request_bytes UInt64 CODEC(T64, ZSTD(1)),
    response_bytes UInt64 CODEC(T64, ZSTD(1)),
    duration AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), Nullable(Float64)),
    edge AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), Nullable(Float64)),
    gateway AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), Nullable(Float64)),
    upstream AggregateFunction(quantilesTDigest(0.5, 0.9, 0.95, 0.99), Nullable(Float64))
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, service, route, host, outcome, missing, status_class)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Minutes whose lineages changed since they were counted, so that a kill forgets none. A writer marks a minute
-- before it writes, and takes its own mark away after the minute was counted.
CREATE TABLE IF NOT EXISTS lineage_minute_marks (
    minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    writer UInt64,
    version UInt64 CODEC(Delta, ZSTD(1)),
    is_deleted UInt8
)
ENGINE = ReplacingMergeTree(version, is_deleted)
ORDER BY (minute, writer)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- One row a minute and key, in plain numbers: quantiles are milliseconds, NULL where nothing was measured.
CREATE OR REPLACE VIEW lineage_minutes AS
SELECT
    minute, service, route, host, outcome, missing, status_class, requests, errors, attempts, tries,
    request_bytes, response_bytes,
    d[1] AS `duration_ms.p50`, d[2] AS `duration_ms.p90`, d[3] AS `duration_ms.p95`, d[4] AS `duration_ms.p99`,
    e[1] AS `edge_ms.p50`, e[2] AS `edge_ms.p90`, e[3] AS `edge_ms.p95`, e[4] AS `edge_ms.p99`,
    g[1] AS `gateway_ms.p50`, g[2] AS `gateway_ms.p90`, g[3] AS `gateway_ms.p95`, g[4] AS `gateway_ms.p99`,
    u[1] AS `upstream_ms.p50`, u[2] AS `upstream_ms.p90`, u[3] AS `upstream_ms.p95`, u[4] AS `upstream_ms.p99`
FROM (
    SELECT
        *,
        arrayMap(q -> if(isNaN(q), NULL, q), finalizeAggregation(duration)) AS d,
        arrayMap(q -> if(isNaN(q), NULL, q), finalizeAggregation(edge)) AS e,
        arrayMap(q -> if(isNaN(q), NULL, q), finalizeAggregation(gateway)) AS g,
        arrayMap(q -> if(isNaN(q), NULL, q), finalizeAggregation(upstream)) AS u
    FROM lineage_minute_versions FINAL
);

-- The same with the states, which unite over several rows: quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(duration).
CREATE OR REPLACE VIEW lineage_minute_states AS
SELECT minute, service, route, host, outcome, missing, status_class, requests, duration, edge, gateway, upstream
FROM lineage_minute_versions FINAL;
