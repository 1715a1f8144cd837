CREATE DATABASE hoptrail ENGINE = Atomic;
USE hoptrail;
CREATE TABLE lineage_versions (
    bucket DateTime('UTC'),
    request_id String,
    rec_id UInt64,
    rev UInt32,
    is_deleted UInt8,
    outcome LowCardinality(String),
    missing LowCardinality(Nullable(String)),
    start_time DateTime64(6, 'UTC'),
    duration_ms Float64,
    method LowCardinality(String),
    path String,
    status UInt16,
    service LowCardinality(String),
    route LowCardinality(String),
    consumer_name LowCardinality(String),
    client_ip IPv6,
    flags Array(LowCardinality(String)),
    attrs Map(LowCardinality(String), String),
    `attempts.node` Array(String),
    `attempts.status` Array(UInt16),
    details JSON
) ENGINE = ReplacingMergeTree(rev, is_deleted) ORDER BY (bucket, request_id, rec_id);
CREATE VIEW lineage AS SELECT * FROM lineage_versions FINAL WHERE NOT is_deleted;
CREATE VIEW attempts AS
    SELECT bucket, request_id, node, attempt_status
    FROM lineage ARRAY JOIN attempts.node AS node, attempts.status AS attempt_status;
INSERT INTO lineage_versions
SELECT
    toDateTime('2026-01-02 00:00:00', 'UTC') + intDiv(number, 60) * 60, concat('r', toString(number)), number + 1, 1, 0,
    if(number % 10 = 0, 'edge_only', 'complete'), if(number % 10 = 0, 'denied_at_edge', NULL),
    toDateTime64('2026-01-02 00:00:00', 6, 'UTC') + number, number % 250,
    if(number % 3 = 0, 'POST', 'GET'), concat('/p/', toString(number % 7)), 200 + 100 * (number % 4),
    concat('s', toString(number % 2)), concat('t', toString(number % 5)), concat('c', toString(number % 11)),
    toIPv6('2001:db8::1'), ['late'], map('k', toString(number)), ['n1', 'n2'], [502, 200], '{"a": {"b": 1}}'
FROM numbers(1000);
CREATE TABLE minutes (minute DateTime('UTC'), durations AggregateFunction(quantilesTDigest(0.5, 0.99), Float64))
ENGINE = ReplacingMergeTree ORDER BY minute;
INSERT INTO minutes
SELECT toStartOfMinute(start_time), quantilesTDigestState(0.5, 0.99)(duration_ms) FROM lineage_versions GROUP BY 1;
