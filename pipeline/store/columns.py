"""The columns of `lineage_rows` that are written and read: one line each, and all that follows from it.

PURE. Every stored field of the model stands here once, with its column, its types and the SQL between both.
Insert, read-back and the tests of schema and documentation derive from it; columns that ClickHouse works out
by itself (`MATERIALIZED`) are in the DDL alone.

A row travels as a JSON array, in both directions: `msgspec` encodes and decodes the model's own structs, and
ClickHouse turns rows into columns, which costs less than doing so in Python. The edge record and the attempts
rest as they travel, as a tuple and as an array of tuples. A field is `Nullable` only where its zero or its empty
string is a value of its own; elsewhere that is "unknown", and comes back as None.
Numbers fit their types because the formats bound them: ClickHouse would cut off what does not, without a word.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.model import Timers


class Kind(NamedTuple):
    """How values of a column travel and rest."""

    sent: str
    """Type in the row that is sent."""
    stored: str
    """Type of the column, or of the element of a tuple."""
    put: str = "{}"
    """From the sent value to the stored one, SQL; of a column alone."""
    get: str = "{}"
    """From the stored value to the one that is read back, SQL; of a column alone."""
    blank: bool = False
    """Zero or the empty string is "unknown", and is read back as None."""


class Column(NamedTuple):
    """A field and where it rests."""

    field: str
    """Name in the struct."""
    name: str
    """Name of the column, or of the element within `edge`, `attempts` or `attempts.tries`."""
    kind: Kind


_GET_TEXT, _GET_NUMBER = "nullIf({}, '')", "nullIf({}, 0)"

TEXT = Kind("String", "String", get=_GET_TEXT, blank=True)
WORD = Kind("String", "LowCardinality(String)", get="nullIf(toString({}), '')", blank=True)
"""Of few different values. Not within arrays: an `Array(LowCardinality(String))` costs ten times more."""
ALWAYS_TEXT = Kind("String", "String")
ALWAYS_WORD = Kind("String", "LowCardinality(String)", get="toString({})")
HASH = Kind("UInt64", "UInt64")
SMALL = Kind("UInt16", "UInt16", get=_GET_NUMBER, blank=True)
MIDDLE = Kind("UInt32", "UInt32", get=_GET_NUMBER, blank=True)
COUNT = Kind("UInt16", "UInt16")
SIZE = Kind("Nullable(Int64)", "Nullable(Int64)")
OFFSET = Kind("Int64", "Int64")
REAL = Kind("Nullable(Float64)", "Nullable(Float64)")
MICROSECONDS = Kind("Int64", "Int64", blank=True)
"""A time within a tuple, as it travels; beside it stands an `ALIAS` that is a `DateTime64`."""
ALWAYS_MICROSECONDS = Kind("Int64", "Int64")
YES_NO = Kind("Bool", "Bool")
TEXTS = Kind("Array(String)", "Array(String)")
PAIRS = Kind("Array(Tuple(String, String))", "Map(String, String)")

ROW = (
    Column(
        "bucket_s",
        "bucket",
        Kind("Int64", "DateTime('UTC')", "toDateTime({}, 'UTC')"),
    ),
    Column("request_id", "request_id", ALWAYS_TEXT),
    Column("rec_id", "rec_id", HASH),
    Column("rev", "rev", Kind("UInt32", "UInt32")),
    Column("is_deleted", "is_deleted", Kind("Bool", "UInt8")),
    Column("outcome", "outcome", ALWAYS_WORD),
    Column("match", "match", ALWAYS_WORD),
    Column("missing", "missing", WORD),
    Column("final", "final", YES_NO),
    Column("delivered", "delivered", Kind("Nullable(UInt16)", "Nullable(UInt16)")),
    Column("trace_id", "trace_id", TEXT),
    Column("trace_id_source", "trace_id_source", WORD),
    Column("identity.kind", "identity.kind", ALWAYS_WORD),
    Column("identity.consumer_id", "identity.consumer_id", TEXT),
    Column("identity.consumer_name", "identity.consumer_name", WORD),
    Column("identity.custom_id", "identity.custom_id", TEXT),
    Column("identity.credential_id", "identity.credential_id", TEXT),
    Column("identity.subject", "identity.subject", TEXT),
    Column("identity.proof", "identity.proof", WORD),
    Column("verdict.domain", "verdict.domain", ALWAYS_WORD),
    Column("verdict.code", "verdict.code", ALWAYS_WORD),
    Column("verdict.text", "verdict.text", ALWAYS_WORD),
    Column("flags", "flags", TEXTS),
    Column("clock_offset_ms", "clock_offset_ms", REAL),
    Column("spans.decision", "spans.decision", WORD),
    Column("spans.sent", "spans.sent", COUNT),
    Column("spans.parent_id", "spans.parent_id", TEXT),
)
"""Fields of the lineage itself, in the order in which they are sent."""

IN_KEY = frozenset({"rec_id", "request_id"})
"""Fields of an edge record that are the row's own."""

EDGE = (
    Column("rec_id", "rec_id", HASH),
    Column("offset", "offset", OFFSET),
    Column("request_id", "request_id", ALWAYS_TEXT),
    Column("start_us", "start_us", ALWAYS_MICROSECONDS),
    Column("gateway_request_id", "gateway_request_id", TEXT),
    Column("traceparent", "traceparent", TEXT),
    Column("request_start_us", "request_start_us", MICROSECONDS),
    Column("end_us", "end_us", MICROSECONDS),
    Column("node", "node", WORD),
    Column("pid", "pid", MIDDLE),
    Column("log_counter", "log_counter", SIZE),
    Column("frontend", "frontend", WORD),
    Column("backend", "backend", WORD),
    Column("server", "server", WORD),
    Column("server_ip", "server_ip", TEXT),
    Column("server_port", "server_port", SMALL),
    Column("client_ip", "client_ip", TEXT),
    Column("client_port", "client_port", SMALL),
    *(Column(f"timers.{name}", f"timers.{name}", SIZE) for name in Timers.__struct_fields__),
    Column("status", "status", SMALL),
    Column("termination", "termination", WORD),
    Column("retries", "retries", Kind("UInt32", "UInt32")),
    Column("redispatched", "redispatched", YES_NO),
    Column("request_bytes", "request_bytes", SIZE),
    Column("response_bytes", "response_bytes", SIZE),
    Column("method", "method", TEXT),
    Column("scheme", "scheme", TEXT),
    Column("host", "host", TEXT),
    Column("path", "path", TEXT),
    Column("query", "query", TEXT),
    Column("http_version", "http_version", TEXT),
    Column("user_agent", "user_agent", TEXT),
    Column("tls_version", "tls.version", TEXT),
    Column("tls_cipher", "tls.cipher", TEXT),
    Column("tls_sni", "tls.sni", TEXT),
    Column("tls_client_verify", "tls.client_verify", TEXT),
    Column("tls_client_dn", "tls.client_dn", TEXT),
    Column("claimed_request_id", "claimed.request_id", TEXT),
    Column("claimed_traceparent", "claimed.traceparent", TEXT),
    Column("pool", "pool", TEXT),
    Column("error", "error", TEXT),
    Column("flags", "flags", TEXTS),
)
"""Fields of `EdgeRecord`, in its order; its eight timers are a tuple of their own."""

ATTEMPT = (
    Column("attempt_id", "attempt_id", HASH),
    Column("offset", "offset", OFFSET),
    Column("request_ids", "request_ids", TEXTS),
    Column("started_us", "started_us", ALWAYS_MICROSECONDS),
    Column("gateway_request_id", "gateway_request_id", TEXT),
    Column("correlation_id", "correlation_id", TEXT),
    Column("trace_id", "trace_id", TEXT),
    Column("traceparent", "traceparent", TEXT),
    Column("request_start_us", "request_start_us", MICROSECONDS),
    Column("node", "node", TEXT),
    Column("kong_ms", "latencies.kong", REAL),
    Column("proxy_ms", "latencies.proxy", REAL),
    Column("receive_ms", "latencies.receive", REAL),
    Column("request_ms", "latencies.request", REAL),
    Column("status", "status", SMALL),
    Column("source", "source", TEXT),
    Column("method", "method", TEXT),
    Column("scheme", "scheme", TEXT),
    Column("host", "host", TEXT),
    Column("path", "path", TEXT),
    Column("query", "query", TEXT),
    Column("user_agent", "user_agent", TEXT),
    Column("upstream_uri", "upstream_uri", TEXT),
    Column("upstream_status", "upstream_status", TEXTS),
    Column("request_bytes", "request_bytes", SIZE),
    Column("response_bytes", "response_bytes", SIZE),
    Column("client_ip", "client_ip", TEXT),
    Column("service", "service", TEXT),
    Column("service_id", "service_id", TEXT),
    Column("route", "route", TEXT),
    Column("route_id", "route_id", TEXT),
    Column("workspace", "workspace", TEXT),
    Column("consumer_id", "consumer_id", TEXT),
    Column("consumer_name", "consumer_name", TEXT),
    Column("custom_id", "custom_id", TEXT),
    Column("credential_id", "credential_id", TEXT),
    Column("anonymous", "anonymous", YES_NO),
    Column("claim_subject", "claim_subject", TEXT),
    Column("tls_version", "tls.version", TEXT),
    Column("tls_cipher", "tls.cipher", TEXT),
    Column("tries", "tries", Kind("", "")),
    Column("flags", "flags", TEXTS),
    Column("headers", "headers", PAIRS),
)
"""Fields of `GatewayRecord`, in its order; its tries are an array of tuples."""

TRY = (
    Column("ip", "ip", TEXT),
    Column("port", "port", SMALL),
    Column("state", "state", TEXT),
    Column("code", "code", SMALL),
    Column("started_us", "started_us", MICROSECONDS),
    Column("balancer_ms", "balancer_ms", REAL),
)
"""Fields of `Try`, in its order."""
