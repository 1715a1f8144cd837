r"""The nouns: what lies on the bus, what the formats read, what the join makes.

PURE: frozen, slotted values and nothing else; no I/O, no clock, no client library.

Units: `*_us` are UTC epoch microseconds (or microseconds of duration where the name says so),
`*_ns` nanoseconds, `*_ms` milliseconds. `None` is "unknown"; HAProxy's `-1` and `-` become None.
Text is valid Unicode without surrogates: formats replace what was not UTF-8 (`\xff`) and flag it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Source(StrEnum):
    """Who wrote a record."""

    HAPROXY = "haproxy"
    KONG = "kong"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """Raw records that came together from one peer: what is appended to and read from the bus.

    One body is one line, one datagram, or one entry of a Kong array: the unit of the account.
    """

    source: Source
    bodies: list[bytes]
    arrival_ns: int
    """When we got them, UTC epoch nanoseconds (for replayed files: event time, never falling)."""
    peer: str
    """Address that sent them, without port (`127.0.0.1`); empty for files and unix sockets."""
    offset: int = -1
    """Bus offset of the first body, the others follow; -1 until appended.

    An offset names a record for good: a new bus starts at a random multiple of 2**40, so that the
    same offset is the same record on the same bus, and a redelivery has another one.
    """


class OutcomeKind(StrEnum):
    """How a record left. Every record that enters leaves by exactly one of these."""

    STORED = "stored"
    EVENT = "event"
    DUPLICATE = "duplicate"
    DEAD_LETTER = "dead_letter"
    DROPPED = "dropped"


class Outcome(NamedTuple):
    """One line of the account."""

    source: Source
    kind: OutcomeKind
    reason: str = ""
    """Closed set; empty for stored, event and duplicate."""


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


class Try(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One request of Kong's balancer to one upstream target."""

    ip: str | None
    port: int | None
    state: str | None
    """`failed`, `next`, or None for the try that Kong did not mark."""
    code: int | None
    started_us: int | None
    balancer_ms: float | None


class GatewayRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One request as Kong logged it: one attempt of the edge, with its upstream tries.

    Formats fill it by position, which is faster: its fields keep their order.
    """

    attempt_id: int
    """u64, never 0: hash of `request.id`, or where there is none (Kong < 3.5) of the raw fields that
    tell requests apart. The same entry sent twice has the same."""
    offset: int
    request_ids: tuple[str, ...]
    """Candidates for join key A in logged order, without empty ones: the `x-request-id` header's
    values, else the correlation id. The edge appends, so the last is ours unless proven otherwise."""
    started_us: int
    gateway_request_id: str | None = None
    """`request.id`, else response header `x-kong-request-id`; join key B. None before Kong 3.5."""
    correlation_id: str | None = None
    trace_id: str | None = None
    """`trace_id.w3c`, 32 lower-case hex."""
    traceparent: str | None = None
    request_start_us: int | None = None
    """Request header `x-request-start` (`t=<microseconds>`), None where absent or not a number."""
    node: str | None = None
    """Peer address of the POST."""
    kong_ms: float | None = None
    """Time in Kong before the final try, as in Kong >= 3.7 (receive subtracted from older ones)."""
    proxy_ms: float | None = None
    """None where Kong logs -1: never proxied."""
    receive_ms: float | None = None
    request_ms: float | None = None
    status: int | None = None
    source: str | None = None
    """`kong` or `upstream`; None before Kong 3.6."""
    method: str | None = None
    scheme: str | None = None
    host: str | None = None
    path: str | None = None
    query: str | None = None
    user_agent: str | None = None
    upstream_uri: str | None = None
    """Redacted."""
    upstream_status: tuple[str, ...] = ()
    """One per try, as nginx wrote them: `("502", "-", "200")`."""
    request_bytes: int | None = None
    response_bytes: int | None = None
    client_ip: str | None = None
    service: str | None = None
    service_id: str | None = None
    route: str | None = None
    route_id: str | None = None
    workspace: str | None = None
    consumer_id: str | None = None
    consumer_name: str | None = None
    custom_id: str | None = None
    credential_id: str | None = None
    """`authenticated_entity.id`."""
    anonymous: bool = False
    """Kong's anonymous consumer: `x-anonymous-consumer: true`, or a consumer without a credential."""
    claim_subject: str | None = None
    """Subject from claim fields that Kong's own log carries (`custom_fields_by_lua`)."""
    tls_version: str | None = None
    tls_cipher: str | None = None
    tries: tuple[Try, ...] = ()
    flags: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers that the operator keeps, redacted: `("request.x-tenant-id", "acme")`, in the order
    of `redaction.headers`."""


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


class DeadLetter(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A raw record that will never parse, kept with its reason."""

    offset: int
    source: Source
    arrival_ns: int
    peer: str
    reason: str
    detail: str
    """Where and why, without any of the record's own bytes that may be secret."""
    body: str
    """The record redacted, invalid bytes escaped, at most 64 KiB."""
    fingerprint: str
    """Keyed hash of the original bytes, hex."""
    size: int
    original: bytes = b""
    """The original bytes, encrypted (`pipeline.originals`); empty where no key is configured."""
    original_key: str | None = None
    """Names the key of `original`."""


class LedgerRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One number of the ledger, as it stood at the last look within a minute."""

    minute_s: int
    """UTC epoch seconds, a whole minute."""
    instance: str
    """Whose number it is: the bus that keeps an account, or the process that counts since it began."""
    source: str
    """`haproxy`, `kong`, or what else is accounted for."""
    kind: str
    """`received`, an `OutcomeKind`, `pending`, `committed`, `refused`, or what another room counts."""
    reason: str
    """Closed set; empty where there is none."""
    total: int
    """Since the instance began; of `pending` and `committed`, what they were."""
    taken_ns: int
    """When it was looked at, UTC epoch nanoseconds: of two rows of one minute the later counts."""


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Who, and what proves it (design section 6)."""

    kind: str = "none"
    """`consumer`, `credential`, `claim`, `mtls`, `anonymous` or `none`."""
    consumer_id: str | None = None
    consumer_name: str | None = None
    custom_id: str | None = None
    credential_id: str | None = None
    subject: str | None = None
    proof: str | None = None
    """`kong.consumer`, `kong.credential`, `kong.claim`, `edge.mtls`, or None."""


class Phase(NamedTuple):
    """One stretch of a request's time; the phases of a lineage sum to its duration."""

    name: str
    hop: str
    """`client`, `edge`, `gateway` or `upstream`."""
    start_ms: float
    duration_ms: float


class Verdict(NamedTuple):
    """Why a request ended as it did."""

    domain: str
    """`ok`, `client`, `edge`, `gateway`, `upstream`, `network` or `unknown`."""
    code: str
    text: str
    """One sentence that an SRE would have written."""


class SpanRecord(msgspec.Struct, frozen=True, gc=False):
    """What was decided about a lineage's spans, and what was done."""

    decision: str | None = None
    """Why they are sent (`error`, `retry`, `conflict`, `slow`, `sampled`, `share`), or `dropped`; None where
    nobody asked. Never goes back to `dropped`."""
    sent: int = 0
    """How many were put into the queue of what is sent: all that the lineage has, or none."""
    parent_id: str | None = None
    """The caller's span that the first one hangs under, 16 hexadecimal digits; None: it is a root."""


class Lineage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One request: an edge record, the gateway attempts that belong to it, and what they mean together.

    Everything that is not derived is in `edge` and `attempts`; a stored lineage gives both back
    unchanged, so that a late half can be merged into it.
    """

    bucket_s: int
    """UTC epoch seconds; with request_id and rec_id the key in the store. Same from either half."""
    request_id: str
    """Key A; empty where neither half has one."""
    rec_id: int
    """The edge record's; without one the lowest id of the attempts."""
    rev: int
    """Grows with the number of distinct records merged and, within it, from pending to final."""
    outcome: str
    """`complete`, `edge_only` or `gateway_only`."""
    match: str
    """`proven`, `matched`, `conflict` or `unmatched`."""
    missing: str | None
    final: bool
    edge: EdgeRecord | None
    attempts: tuple[GatewayRecord, ...]
    """Oldest first."""
    delivered: int | None
    """Index of the attempt whose answer the client got; None where unknown."""
    trace_id: str | None
    trace_id_source: str | None
    """`edge`, `kong`, `traceparent` (Kong's request header) or None."""
    identity: Identity
    verdict: Verdict
    flags: tuple[str, ...]
    """Sorted, without repeats; the records' own flags included."""
    clock_offset_ms: float | None = None
    is_deleted: bool = False
    """A tombstone: this key's records now stand under another key."""
    spans: SpanRecord = SpanRecord()


class StoreKey(NamedTuple):
    """What names a row."""

    bucket_s: int
    request_id: str
    rec_id: int
