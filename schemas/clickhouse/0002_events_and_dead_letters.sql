-- Lines of the edge that are no requests, and records that never parsed. A record's bus offset names it for good,
-- so a batch that is written again after a crash gives the same rows once.
CREATE TABLE IF NOT EXISTS edge_event_versions (
    offset Int64 CODEC(Delta, ZSTD(1)),
    arrival_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    kind LowCardinality(String),
    node LowCardinality(String),
    pid UInt32,
    severity Nullable(UInt8),
    proxy LowCardinality(String),
    server LowCardinality(String),
    client_ip String CODEC(ZSTD(1)),
    count Nullable(Int64),
    text String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(arrival_time)
ORDER BY (arrival_time, offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS dead_letter_versions (
    offset Int64 CODEC(Delta, ZSTD(1)),
    source LowCardinality(String),
    arrival_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    peer LowCardinality(String),
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    body String CODEC(ZSTD(1)),
    fingerprint String CODEC(ZSTD(1)),
    size UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(arrival_time)
ORDER BY (arrival_time, offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;
