"""The columns of the tables beside the lineages: events, dead letters, the ledger. PURE.

As in `columns.py`; here each field is a column, and times are sent as numbers and kept as times.
"""

from __future__ import annotations

from pipeline.store.columns import (
    ALWAYS_TEXT,
    ALWAYS_WORD,
    MIDDLE,
    OFFSET,
    SIZE,
    TEXT,
    WORD,
    Column,
    Kind,
)

_TIME = Kind(
    "Int64",
    "DateTime64(6, 'UTC')",
    "fromUnixTimestamp64Micro({}, 'UTC')",
    "nullIf(toUnixTimestamp64Micro({}), 0)",
    blank=True,
)
_NANOSECONDS = Kind(
    "Int64", "DateTime64(9, 'UTC')", "fromUnixTimestamp64Nano({}, 'UTC')", "toUnixTimestamp64Nano({})"
)

EVENT = (
    Column("offset", "offset", OFFSET),
    Column("arrival_ns", "arrival_time", _NANOSECONDS),
    Column("time_us", "time", _TIME),
    Column("kind", "kind", ALWAYS_WORD),
    Column("node", "node", WORD),
    Column("pid", "pid", MIDDLE),
    Column("severity", "severity", Kind("Nullable(UInt8)", "Nullable(UInt8)")),
    Column("proxy", "proxy", WORD),
    Column("server", "server", WORD),
    Column("client_ip", "client_ip", TEXT),
    Column("count", "count", SIZE),
    Column("text", "text", ALWAYS_TEXT),
    Column("log_counter", "log_counter", SIZE),
)
"""Fields of `EdgeEvent`, in its order."""

LEDGER = (
    Column("minute_s", "minute", Kind("UInt32", "DateTime('UTC')", get="toUInt32({})")),
    Column("instance", "instance", ALWAYS_WORD),
    Column("source", "source", ALWAYS_WORD),
    Column("kind", "kind", ALWAYS_WORD),
    Column("reason", "reason", ALWAYS_WORD),
    Column("total", "total", OFFSET),
    Column("taken_ns", "taken_at", _NANOSECONDS),
)
"""Fields of `LedgerRow`, in its order."""

DEAD_LETTER = (
    Column("offset", "offset", OFFSET),
    Column("source", "source", ALWAYS_WORD),
    Column("arrival_ns", "arrival_time", _NANOSECONDS),
    Column("peer", "peer", ALWAYS_WORD),
    Column("reason", "reason", ALWAYS_WORD),
    Column("detail", "detail", ALWAYS_TEXT),
    Column("body", "body", ALWAYS_TEXT),
    Column("fingerprint", "fingerprint", ALWAYS_TEXT),
    Column("size", "size", Kind("UInt64", "UInt64")),
    Column("original", "original", ALWAYS_TEXT),
    Column("original_key", "original_key", WORD),
)
"""Fields of `DeadLetter`, in its order."""
