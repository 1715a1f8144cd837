"""From a decoded http-log entry to a gateway record."""

from __future__ import annotations

import re

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.kong_entry import (
    NO_HEADERS,
    NO_NAME,
    NO_RESPONSE,
    NO_RESPONSE_HEADERS,
    Attempted,
    Entry,
    Headers,
    HeaderValue,
    Latencies,
    Request,
    ResponseHeaders,
    TraceId,
)
from pipeline.formats.redact import Redactor
from pipeline.formats.request_line import split_target
from pipeline.formats.text import (
    LARGEST,
    LARGEST_PORT,
    LARGEST_STATUS,
    has_control,
    identity_hash,
    whole_number,
)
from pipeline.model import GatewayRecord, Try

_LONGEST_ID = 256
_MOST_IDS = 16
_MOST_TRIES = 32
_TRACE_ID = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?")
_START = re.compile(r"(?:t=)?(\d{10})\.(\d{1,6})", re.ASCII)
_LATEST_MS = 1 << 43
_LONGEST_MS = 1e12


class RecordBuilder:
    """Makes gateway records."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def build(
        self, entry: Entry, request: Request, offset: int, peer: str, flags: list[str]
    ) -> GatewayRecord:
        """Make one.

        Raises:
            MalformedLine: Without a start time an entry has no place.
        """
        started_us = ms_to_us(entry.started_at)
        if started_us is None:
            raise MalformedLine("no_date", "started_at is missing or not a number of milliseconds")
        redactor = self._redactor
        headers, response = request.headers or NO_HEADERS, entry.response or NO_RESPONSE
        answered, latencies = response.headers or NO_RESPONSE_HEADERS, entry.latencies
        request_ids = self._ids(headers.x_request_id) or self._ids(entry.correlation_id)
        if len(request_ids) > 1:
            flags.append(flag.ID_LIST)
        gateway_id = request.id or _first(answered.x_kong_request_id) or ""
        _, _, path, query = split_target(request.uri or "")
        user_agent, host = _first(headers.user_agent), _first(headers.host)
        if (path and has_control(path)) or (user_agent and has_control(user_agent)):
            flags.append(flag.CONTROL_CHARS)
        consumer, credential = entry.consumer, entry.authenticated_entity
        service, route = entry.service or NO_NAME, entry.route or NO_NAME
        tries = entry.tries if type(entry.tries) is list else ()
        url, upstream_uri, correlation_id, tls = (
            request.url,
            entry.upstream_uri,
            entry.correlation_id,
            request.tls,
        )
        kong_ms, receive_ms = _kong_ms(latencies, answered) if latencies else (None, None)
        return GatewayRecord(
            attempt_id=identity_hash(gateway_id)
            if gateway_id
            else _content_hash(entry, request, request_ids, tries),
            offset=offset,
            request_ids=request_ids,
            started_us=started_us,
            gateway_request_id=gateway_id[:_LONGEST_ID] or None,
            correlation_id=redactor.identifier(correlation_id[:_LONGEST_ID]) if correlation_id else None,
            trace_id=_trace_id(entry.trace_id) if entry.trace_id else None,
            traceparent=redactor.identifier((_first(headers.traceparent) or "")[:_LONGEST_ID]) or None,
            request_start_us=_request_start_us(headers.x_request_start) if headers.x_request_start else None,
            node=peer or None,
            kong_ms=kong_ms,
            proxy_ms=_known(latencies.proxy) if latencies else None,
            receive_ms=receive_ms,
            request_ms=_known(latencies.request) if latencies else None,
            status=_within(response.status, LARGEST_STATUS),
            source=entry.source,
            method=request.method,
            scheme=url.partition("://")[0][:16] or None if url else None,
            host=redactor.clean(host.rpartition("@")[2]) if host else None,
            path=redactor.path(path) if path else None,
            query=redactor.query(query) if query else None,
            user_agent=redactor.clean(user_agent) if user_agent else None,
            upstream_uri=redactor.uri(upstream_uri) if upstream_uri else None,
            upstream_status=_upstream_status(entry.upstream_status) if entry.upstream_status else (),
            request_bytes=_size(request.size),
            response_bytes=_size(response.size),
            client_ip=redactor.address(entry.client_ip),
            service=service.name or service.id,
            service_id=service.id,
            route=route.name or route.id,
            route_id=route.id,
            workspace=entry.workspace_name or entry.workspace,
            consumer_id=redactor.user(
                consumer.id if consumer else credential.consumer_id if credential else None
            ),
            consumer_name=redactor.user(consumer.username) if consumer else None,
            custom_id=redactor.user(consumer.custom_id) if consumer else None,
            credential_id=redactor.user(credential.id) if credential else None,
            anonymous=_is_anonymous(entry, headers),
            claim_subject=redactor.user(_claim(entry.claims)) if entry.claims else None,
            tls_version=tls.version if tls else None,
            tls_cipher=tls.cipher if tls else None,
            tries=tuple([_try(attempted) for attempted in tries[:_MOST_TRIES]]),
            flags=tuple(sorted(set(flags))) if flags else (),
        )

    def _ids(self, value: HeaderValue) -> tuple[str, ...]:
        """Give the candidates of join key A: each element of a list is one; a comma in one is its own text."""
        if value is None:
            return ()
        identifier = self._redactor.identifier
        if type(value) is str:
            return (identifier(value[:_LONGEST_ID]),) if value else ()
        return tuple(identifier(text[:_LONGEST_ID]) for text in value[-_MOST_IDS:] if text)


def _kong_ms(latencies: Latencies, answered: ResponseHeaders) -> tuple[float | None, float | None]:
    """Give the times in Kong and of receiving, as Kong 3.7 has them apart.

    Before, `kong` held both. What Kong told the client in a header is `kong` alone; what is left was receiving.
    """
    kong_ms, receive_ms = _known(latencies.kong), _known(latencies.receive)
    if receive_ms is not None or kong_ms is None:
        return kong_ms, receive_ms
    told_ms = whole_number(_first(answered.x_kong_proxy_latency))
    if told_ms is None or told_ms > kong_ms:
        return kong_ms, None
    return told_ms, kong_ms - told_ms


def ms_to_us(value: float | None) -> int | None:
    """Give an epoch of milliseconds in microseconds; None for what is none."""
    return int(value * 1000) if value is not None and 0 < value < _LATEST_MS else None


def _known(value: float | None) -> float | None:
    return value if value is not None and 0 <= value < _LONGEST_MS else None


def _within(value: int | None, most: int) -> int | None:
    return value if value is not None and 0 <= value <= most else None


def _first(value: HeaderValue) -> str | None:
    if type(value) is str:
        return value or None
    return value[0] or None if value else None


def _trace_id(trace: TraceId) -> str | None:
    for text in (trace.w3c, trace.b3, trace.jaeger, trace.ot):
        if text and _TRACE_ID.fullmatch(text) and text.strip("0"):
            return text.zfill(32)  # the W3C form of 64 bits
    return None


def _request_start_us(value: HeaderValue) -> int | None:
    """Read `t=1795460243518000` (our edge, microseconds) or nginx's `t=1795460243.518`; else None."""
    if type(value) is not str:
        return None
    digits = value.removeprefix("t=")
    if len(digits) == 16 and digits.isdigit() and digits.isascii():  # noqa: PLR2004 -- of microseconds, now
        return int(digits)
    found = _START.fullmatch(value)
    return int(found[1]) * 1_000_000 + int(found[2].ljust(6, "0")) if found else None


def _size(value: int | str | None) -> int | None:
    if isinstance(value, str):
        return whole_number(value)
    return _within(value, LARGEST)


def _upstream_status(value: str | int | list[int | str]) -> tuple[str, ...]:
    """Read nginx's list, one per try: `502, 200`; ` : ` stands between internal redirects."""
    if isinstance(value, list):
        return tuple(str(part)[:8] for part in value[:_MOST_TRIES])
    text = str(value)
    if len(text) == 3:  # noqa: PLR2004 -- one status
        return (text,)
    return tuple(part[:8] for part in text.replace(" : ", ", ").split(", ")[:_MOST_TRIES])


def _is_anonymous(entry: Entry, headers: Headers) -> bool:
    if headers.x_anonymous_consumer and _first(headers.x_anonymous_consumer) == "true":
        return True
    return entry.consumer is not None and entry.authenticated_entity is None


def _claim(claims: dict[str, object]) -> str | None:
    for name in ("sub", "client_id", "azp"):
        subject = claims.get(name)
        if isinstance(subject, str) and subject:
            return subject[:_LONGEST_ID]
    return None


def _try(attempted: Attempted) -> Try:
    """Read one try; nanoseconds are printed with 14 digits, which is finer than the milliseconds beside."""
    start_ns, latency_ns = attempted.balancer_start_ns, attempted.balancer_latency_ns
    started_us = int(start_ns // 1000) if start_ns and 0 < start_ns < _LATEST_MS * 1e6 else None
    return Try(
        attempted.ip,
        _within(attempted.port, LARGEST_PORT),
        attempted.state,
        _within(attempted.code, LARGEST_STATUS),
        ms_to_us(attempted.balancer_start) if started_us is None else started_us,
        _known(latency_ns / 1e6 if latency_ns is not None else attempted.balancer_latency),
    )


def _content_hash(
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
