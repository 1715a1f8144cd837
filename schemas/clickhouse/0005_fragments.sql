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
