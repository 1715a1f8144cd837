"""PURE: the edge's spans: one SERVER span a request, one CLIENT span for each attempt at the gateway."""

from __future__ import annotations

from pipeline.join.times import span_of
from pipeline.model import EdgeRecord, GatewayRecord, Lineage
from pipeline.spans import keys as key
from pipeline.spans.blocks import Blocks
from pipeline.spans.names import client_error, edge_error, name_of
from pipeline.spans.settings import Origin
from pipeline.spans.wire import CLIENT, ERROR, SERVER, event, link, span, span_name, words, yes

_blocks = Blocks()


def edge_span(  # noqa: PLR0917 -- what a span is made of
    lineage: Lineage, edge: EdgeRecord, trace: bytes, span_id: bytes, origin: Origin, more: bytes
) -> bytes:
    """Make the SERVER span of the edge: the whole request as the client saw it.

    Args:
        lineage: The request.
        edge: Its edge record.
        trace: Trace id, 16 bytes.
        span_id: 8 bytes.
        origin: Where it hangs.
        more: Further attributes, encoded.
    """
    time = span_of(edge, ())
    attempts = lineage.attempts
    route = attempts[-1 if lineage.delivered is None else lineage.delivered].route if attempts else None
    return span(
        trace,
        span_id,
        bytes.fromhex(origin.parent_id) if origin.parent_id else b"",
        _name(edge.method, route),
        SERVER,
        time.start_us,
        time.end_us,
        b"".join(
            (
                _asked(edge.method, edge.scheme, edge.host, edge.http_version),
                _came(edge.status, edge.termination, edge.retries, edge.redispatched),
                _through(edge.frontend, edge.backend, edge.server, edge.tls_version, edge.tls_cipher),
                joined(lineage.match, lineage.missing, lineage.verdict.code, lineage.flags),
                _once(edge),
                more,
                _events(edge),
                link(bytes.fromhex(origin.link.trace_id), bytes.fromhex(origin.link.span_id))
                if origin.link
                else b"",
                ERROR if edge_error(edge.status, edge.termination)[1] else b"",
            )
        ),
        is_remote=origin.parent_id is not None,
    )


def attempt_span(
    edge: EdgeRecord,
    attempt: GatewayRecord,
    trace: bytes,
    span_id: bytes,
    parent_id: bytes,
    *,
    resend: int,
    is_last: bool,
) -> bytes:
    """Make the CLIENT span of one attempt of the edge at the gateway.

    HAProxy's timers are those of its last attempt: where it never retried they bound the span, otherwise the
    attempt's own window at the gateway does.
    """
    start_us, end_us = attempt_times(edge, attempt, resend=resend)
    rest = (
        _sent(attempt.method or edge.method, attempt.scheme, attempt.status, resend),
        _peer(edge.server, edge.server_ip, edge.server_port, attempt.node, is_last),
        key.URL_FULL(_full_url(attempt, edge)),
        key.KONG_REQUEST_ID(attempt.gateway_request_id) if attempt.gateway_request_id else b"",
        ERROR if client_error(attempt.status)[1] else b"",
    )
    name = _name(attempt.method or edge.method, None)
    return span(trace, span_id, parent_id, name, CLIENT, start_us, end_us, b"".join(rest))


def attempt_times(edge: EdgeRecord, attempt: GatewayRecord, *, resend: int) -> tuple[int, int]:
    """Give start and end of an attempt's CLIENT span, UTC epoch microseconds."""
    if edge.retries or resend:
        return attempt.started_us, attempt.started_us + int((attempt.request_ms or 0) * 1000)
    timers, end_us = edge.timers, span_of(edge, ()).end_us
    start_us = edge.start_us + ((timers.TR or 0) + (timers.Tw or 0)) * 1000
    return start_us, max(start_us, end_us)


@_blocks.remember
def _name(method: str | None, target: str | None) -> bytes:
    return span_name(name_of(method, target))


@_blocks.remember
def _asked(method: str | None, scheme: str | None, host: str | None, http_version: str | None) -> bytes:
    return key.asked(method, scheme, host) + key.maybe(key.PROTOCOL_VERSION, http_version)


@_blocks.remember
def _came(status: int | None, termination: str | None, retries: int, redispatched: bool) -> bytes:
    error_type, _ = edge_error(status, termination)
    return b"".join(
        (
            key.maybe_int(key.STATUS, status),
            key.maybe(key.ERROR_TYPE, error_type),
            key.maybe(key.TERMINATION, termination),
            key.RETRIES(retries) if retries else b"",
            yes("haproxy.redispatched") if redispatched else b"",
        )
    )


@_blocks.remember
def _through(
    frontend: str | None, backend: str | None, server: str | None, tls: str | None, cipher: str | None
) -> bytes:
    return b"".join(
        (
            key.maybe(key.FRONTEND, frontend),
            key.maybe(key.BACKEND, backend),
            key.maybe(key.SERVER, server),
            key.tls(tls, cipher),
        )
    )


@_blocks.remember
def joined(match: str, missing: str | None, verdict: str, flags: tuple[str, ...]) -> bytes:
    """Write what the lineage as a whole is."""
    return b"".join(
        (
            key.MATCH(match),
            key.maybe(key.MISSING, missing),
            key.VERDICT(verdict),
            words("lineage.flags", flags) if flags else b"",
        )
    )


def _once(edge: EdgeRecord) -> bytes:
    """Write what differs from request to request."""
    parts = [
        key.UNIQUE_ID(edge.request_id) if edge.request_id else b"",
        key.URL_PATH(edge.path) if edge.path else b"",
        key.URL_QUERY(edge.query) if edge.query else b"",
        key.USER_AGENT.often(edge.user_agent) if edge.user_agent else b"",
    ]
    if edge.client_ip:
        parts += (key.CLIENT_ADDRESS.often(edge.client_ip), key.PEER_ADDRESS.often(edge.client_ip))
    if edge.client_port:
        parts += (key.CLIENT_PORT(edge.client_port), key.PEER_PORT(edge.client_port))
    if edge.request_bytes is not None:
        parts.append(key.REQUEST_SIZE(edge.request_bytes))
    if edge.response_bytes is not None:
        parts.append(key.RESPONSE_SIZE(edge.response_bytes))
    timers = edge.timers
    for write, value in zip(
        key.TIMERS, (timers.TR, timers.Tw, timers.Tc, timers.Tr, timers.Td, timers.Ta), strict=True
    ):
        if value is not None:
            parts.append(write(value))
    return b"".join(parts)


def _events(edge: EdgeRecord) -> bytes:
    """Write what happened on the way: a wait in the queue, a change of server."""
    if not edge.timers.Tw and not edge.redispatched:
        return b""
    timers, events = edge.timers, b""
    queued_us = edge.start_us + (timers.TR or 0) * 1000
    if timers.Tw:
        events += event("haproxy.queued", queued_us, [("haproxy.timing.Tw", timers.Tw)])
    if edge.redispatched:
        events += event("haproxy.redispatched", queued_us + ((timers.Tw or 0) + (timers.Tc or 0)) * 1000)
    return events


@_blocks.remember
def _sent(method: str | None, scheme: str | None, status: int | None, resend: int) -> bytes:
    error_type, _ = client_error(status)
    return b"".join(
        (
            key.method(method),
            key.maybe(key.URL_SCHEME, scheme),
            key.maybe_int(key.STATUS, status),
            key.maybe(key.ERROR_TYPE, error_type),
            key.RESEND(resend) if resend else b"",
        )
    )


@_blocks.remember
def _peer(
    server: str | None, server_ip: str | None, server_port: int | None, node: str | None, is_last: bool
) -> bytes:
    """Write which node it went to; the edge's line names only that of its last attempt."""
    if not is_last or not (server_ip or server):
        return key.maybe(key.SERVER_ADDRESS, node) + key.maybe(key.PEER_ADDRESS, node)
    return b"".join(
        (
            key.maybe(key.SERVER_ADDRESS, server_ip or server),
            key.maybe_int(key.SERVER_PORT, server_port),
            key.maybe(key.PEER_ADDRESS, server_ip or node),
            key.maybe_int(key.PEER_PORT, server_port),
        )
    )


def _full_url(attempt: GatewayRecord, edge: EdgeRecord) -> str:
    scheme, host = attempt.scheme or "http", attempt.host or edge.host or ""
    query = attempt.query
    return f"{scheme}://{host}{attempt.path or '/'}" + (f"?{query}" if query else "")
