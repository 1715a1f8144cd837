"""What HAProxy logged: requests, and whatever else."""

from __future__ import annotations

import msgspec


class Timers(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """HAProxy timers in milliseconds; None where a phase was never reached (manual 8.4)."""

    TR: int | None = None
    Tw: int | None = None
    Tc: int | None = None
    Tr: int | None = None
    Td: int | None = None
    Ta: int | None = None
    Th: int | None = None
    Ti: int | None = None


class EdgeRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One request as HAProxy logged it.

    Formats fill it by position, which is faster: its fields keep their order.
    """

    rec_id: int
    """u64, never 0: hash of the raw identity fields (id, client address, raw date, pid/counter where
    logged in the message itself), never of resolved times and never of the envelope."""
    offset: int
    """Bus offset: tells our own replay after a crash from a redelivery."""
    request_id: str
    """`%ID`, join key A; empty where HAProxy logged none."""
    start_us: int
    """First byte of this request (`%tr`, or accept + Th + Ti), resolved with the configured zone."""
    gateway_request_id: str | None = None
    """`X-Kong-Request-Id` of the answer that the client got, join key B."""
    traceparent: str | None = None
    """What the edge sent downstream, verbatim."""
    request_start_us: int | None = None
    """The `X-Request-Start` that the edge sent downstream (`req_us`)."""
    end_us: int | None = None
    node: str | None = None
    pid: int | None = None
    log_counter: int | None = None
    frontend: str | None = None
    backend: str | None = None
    server: str | None = None
    """None for `<NOSRV>`; `<STATS>` and the like stay."""
    server_ip: str | None = None
    server_port: int | None = None
    client_ip: str | None = None
    """None for a unix socket."""
    client_port: int | None = None
    timers: Timers = Timers()
    status: int | None = None
    """What the client got; None where HAProxy logged -1 or 0 (nothing sent)."""
    termination: str | None = None
    """Termination state, four characters (two for TCP), manual 8.5."""
    retries: int = 0
    redispatched: bool = False
    """`+` before the count: it does not belong to the named server."""
    request_bytes: int | None = None
    response_bytes: int | None = None
    method: str | None = None
    scheme: str | None = None
    host: str | None = None
    path: str | None = None
    query: str | None = None
    """Redacted; without `?`; empty string and None are both "no query"."""
    http_version: str | None = None
    """`1.0`, `1.1`, `2`, `3` (RFC 9110 / semantic conventions `network.protocol.version`)."""
    user_agent: str | None = None
    tls_version: str | None = None
    tls_cipher: str | None = None
    tls_sni: str | None = None
    tls_client_verify: str | None = None
    """`%[ssl_c_verify]` where a certificate was used: `0` is verified; None: no certificate."""
    tls_client_dn: str | None = None
    claimed_request_id: str | None = None
    claimed_traceparent: str | None = None
    pool: str | None = None
    error: str | None = None
    flags: tuple[str, ...] = ()


class EdgeEvent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A line of HAProxy's that is not a request: health, process, admin, drop notice, connection error."""

    offset: int
    arrival_ns: int
    time_us: int | None = None
    kind: str
    """`server_state`, `health_check`, `proxy_state`, `no_server`, `events_dropped`, `connection_error`,
    `connection`, `tcp_session`, `process`, `stream_session`, `other`."""
    node: str | None = None
    pid: int | None = None
    severity: int | None = None
    proxy: str | None = None
    server: str | None = None
    client_ip: str | None = None
    count: int | None = None
    """For `events_dropped`: how many lines HAProxy says it threw away."""
    text: str
    """The message, redacted, at most 4096 characters."""
    log_counter: int | None = None
    """`%lc`, where the line carries it: requests and failed connections of a frontend share one counter."""
