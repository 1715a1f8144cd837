"""Values of an http-log entry that are read in more than one type, or worked out of several."""

from __future__ import annotations

import re

from pipeline.formats.kong_entry import (
    NO_RESPONSE,
    Attempted,
    Entry,
    HeaderValue,
    Request,
    ResponseHeaders,
    TraceId,
)
from pipeline.formats.text import LARGEST, LARGEST_PORT, LARGEST_STATUS, identity_hash, whole_number
from pipeline.model import Try

LONGEST_ID = 256
MOST_TRIES = 32
LONGEST_MS = 10**12
"""What is above is no duration."""
_LATEST_MS = 1 << 43
_LATEST_NS = _LATEST_MS * 1e6
_TRACE_ID = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?")
_START = re.compile(r"(?:t=)?(\d{10})\.(\d{1,6})", re.ASCII)


def ms_to_us(value: float | None) -> int | None:
    """Give an epoch of milliseconds in microseconds; None for what is none."""
    return int(value * 1000) if value is not None and 0 < value < _LATEST_MS else None


def first(value: HeaderValue) -> str | None:
    """Give a header's value, the first one where it was sent more than once; None for an empty one."""
    if type(value) is str:
        return value or None
    return value[0] or None if value else None


def kong_apart(kong_ms: float, answered: ResponseHeaders) -> tuple[float, float | None]:
    """Give the times in Kong and of receiving, as Kong 3.7 has them apart.

    Before, `kong` held both. What Kong told the client in a header is `kong` alone; what is left was receiving.
    """
    told_ms = whole_number(first(answered.x_kong_proxy_latency))
    if told_ms is None or told_ms > kong_ms:
        return kong_ms, None
    return told_ms, kong_ms - told_ms


def trace_id(trace: TraceId) -> str | None:
    """Give the trace id in the W3C form, whichever form the tracing plugin wrote."""
    for text in (trace.w3c, trace.b3, trace.jaeger, trace.ot, trace.gcp, trace.aws):
        if text and _TRACE_ID.fullmatch(text) and text.strip("0"):
            return text.zfill(32)  # the W3C form of 64 bits
    return None


def request_start_us(value: HeaderValue) -> int | None:
    """Read `t=1795460243518000` (our edge, microseconds) or nginx's `t=1795460243.518`; else None."""
    if type(value) is not str:
        return None
    digits = value[2:] if value[:2] == "t=" else value
    if len(digits) == 16 and digits.isdigit() and digits.isascii():  # noqa: PLR2004 -- of microseconds, now
        return int(digits)
    found = _START.fullmatch(value)
    return int(found[1]) * 1_000_000 + int(found[2].ljust(6, "0")) if found else None


def size(value: int | str | None) -> int | None:
    """Read a count of bytes, which Kong < 3 logs as text."""
    if isinstance(value, str):
        return whole_number(value)
    return value if value is not None and 0 <= value <= LARGEST else None


def upstream_statuses(value: str | int | list[int | str] | None) -> tuple[str, ...]:
    """Read nginx's list, one per try: `502, 200`; ` : ` stands between internal redirects."""
    if type(value) is str and len(value) == 3:  # noqa: PLR2004 -- one status
        return (value,)
    if not value:
        return ()
    if isinstance(value, list):
        return tuple(str(part)[:8] for part in value[:MOST_TRIES])
    return tuple(part[:8] for part in str(value).replace(" : ", ", ").split(", ")[:MOST_TRIES])


def claimed_subject(claims: dict[str, object]) -> str | None:
    """Give whom the claims name."""
    for name in ("sub", "client_id", "azp"):
        subject = claims.get(name)
        if isinstance(subject, str) and subject:
            return subject[:LONGEST_ID]
    return None


def read_try(attempted: Attempted) -> Try:
    """Read one try; nanoseconds are printed with 14 digits, which is finer than the milliseconds beside."""
    start_ns, latency_ns = attempted.balancer_start_ns, attempted.balancer_latency_ns
    port, code = attempted.port, attempted.code
    latency_ms = attempted.balancer_latency if latency_ns is None else latency_ns / 1e6
    return Try(
        attempted.ip,
        port if port is not None and 0 <= port <= LARGEST_PORT else None,
        attempted.state,
        code if code is not None and 0 <= code <= LARGEST_STATUS else None,
        int(start_ns // 1000)
        if start_ns is not None and 0 < start_ns < _LATEST_NS
        else ms_to_us(attempted.balancer_start),
        latency_ms if latency_ms is not None and 0 <= latency_ms < LONGEST_MS else None,
    )


def content_hash(
    entry: Entry, request: Request, request_ids: tuple[str, ...], tries: list[Attempted] | tuple[()]
) -> int:
    """Tell requests apart before Kong 3.5, which has no id of its own: by what only one request can share."""
    response = entry.response or NO_RESPONSE
    return identity_hash(
        *request_ids,
        str(entry.started_at),
        str(entry.client_ip),
        str(request.method),
        str(request.uri),
        str(response.status),
        str(response.size),
        *(f"{attempted.ip}:{attempted.port}@{attempted.balancer_start}" for attempted in tries),
    )
