-- The ledger: what became of every record, by minute. A row is a number as it stood at the last look within a
-- minute; the numbers only grow, so that a look that is written again after a crash, or is missing, does no harm.
CREATE TABLE IF NOT EXISTS ledger_versions (
    minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
    instance LowCardinality(String),
    source LowCardinality(String),
    kind LowCardinality(String),
    reason LowCardinality(String),
    total Int64 CODEC(Delta, ZSTD(1)),
    taken_at DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(taken_at)
PARTITION BY toYYYYMM(minute)
ORDER BY (instance, source, kind, reason, minute)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Failed connections and sessions share the log counter of their frontend with its requests.
ALTER TABLE edge_event_versions ADD COLUMN IF NOT EXISTS log_counter Nullable(Int64) CODEC(T64, ZSTD(1));

CREATE OR REPLACE VIEW edge_events AS
SELECT offset, arrival_time, time, kind, node, pid, severity, proxy, server, client_ip, count, text, log_counter
FROM edge_event_versions FINAL;

-- How much of each kind a minute brought: the difference to the look before. What is a state, not a count, is
-- given as it was.
CREATE OR REPLACE VIEW ledger AS
SELECT
    minute, instance, source, kind, reason,
    if(kind IN ('pending', 'committed'), total, total - lagInFrame(total, 1, 0) OVER looks) AS count,
    total, taken_at
FROM ledger_versions FINAL
WINDOW looks AS (
    PARTITION BY instance, source, kind, reason ORDER BY minute ROWS BETWEEN 1 PRECEDING AND CURRENT ROW
);

-- Every line of HAProxy's that carries its frontend's log counter, once for each version that is stored: `line`
-- names it, `time` is when it was logged. Ask for a stretch of `bucket`, or all is read.
CREATE OR REPLACE VIEW edge_counters AS
SELECT
    bucket, `edge.node` AS node, `edge.pid` AS pid, `edge.frontend` AS frontend,
    assumeNotNull(`edge.log_counter`) AS log_counter,
    if(toUnixTimestamp64Micro(`edge.end_time`) = 0, end_time, `edge.end_time`) AS time,
    `edge.offset` AS offset, rec_id AS line
FROM lineage_versions
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
