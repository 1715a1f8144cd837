"""PURE: the gateway's spans: one SERVER span an attempt, one CLIENT span for each try of an upstream."""

from __future__ import annotations

from pipeline.model import GatewayRecord
from pipeline.spans import keys as key
from pipeline.spans.blocks import Blocks
from pipeline.spans.names import client_error, name_of, server_error
from pipeline.spans.settings import Origin
from pipeline.spans.wire import CLIENT, ERROR, SERVER, event, link, span, span_name, yes

_blocks = Blocks()
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


def gateway_span(
    attempt: GatewayRecord,
    trace: bytes,
    span_id: bytes,
    parent_id: bytes,
    origin: Origin,
    *,
    delivered: bool,
    lineage_rest: bytes,
) -> bytes:
    """Make the SERVER span of the gateway for one attempt.

    Args:
        attempt: What it logged.
        trace: Trace id, 16 bytes.
        span_id: 8 bytes.
        parent_id: The edge's CLIENT span; none where the edge was passed by.
        origin: Where it hangs where there is no edge.
        delivered: Whether the client got this answer.
        lineage_rest: What is said of the lineage where no edge span says it.
    """
    start_us, end_us = gateway_times(attempt)
    rest = (
        _asked(attempt.method, attempt.scheme, attempt.host, attempt.status, attempt.source),
        _kong(
            attempt.service,
            attempt.service_id,
            attempt.route,
            attempt.route_id,
            attempt.workspace,
            attempt.tls_version,
            attempt.tls_cipher,
            delivered,
        ),
        key.KONG_REQUEST_ID(attempt.gateway_request_id) if attempt.gateway_request_id else b"",
        key.URL_PATH(attempt.path) if attempt.path else b"",
        key.URL_QUERY(attempt.query) if attempt.query else b"",
        key.USER_AGENT.often(attempt.user_agent) if attempt.user_agent else b"",
        key.CLIENT_ADDRESS.often(attempt.client_ip) if attempt.client_ip else b"",
        lineage_rest,
        _denied(attempt),
        link(bytes.fromhex(origin.link.trace_id), bytes.fromhex(origin.link.span_id)) if origin.link else b"",
        ERROR if server_error(attempt.status)[1] else b"",
    )
    return span(
        trace,
        span_id,
        parent_id,
        _name(attempt.method, attempt.route),
        SERVER,
        start_us,
        end_us,
        b"".join(rest),
        is_remote=True,
    )


def gateway_times(attempt: GatewayRecord) -> tuple[int, int]:
    """Give start and end of an attempt at the gateway, UTC epoch microseconds."""
    return attempt.started_us, attempt.started_us + int((attempt.request_ms or 0) * 1000)


def try_span(attempt: GatewayRecord, index: int, trace: bytes, span_id: bytes, parent_id: bytes) -> bytes:
    """Make the CLIENT span of one try of an upstream."""
    one = attempt.tries[index]
    status = try_status(attempt, index)
    start_us, end_us = try_times(attempt, index)
    path, _, query = (attempt.upstream_uri or "").partition("?")
    rest = (
        _sent(attempt.method, one.ip, one.port, status, index, one.state),
        key.URL_PATH(path) if path else b"",
        key.URL_QUERY(query) if query else b"",
        ERROR if try_error(status, one.state) else b"",
    )
    return span(
        trace, span_id, parent_id, _name(attempt.method, None), CLIENT, start_us, end_us, b"".join(rest)
    )


def try_status(attempt: GatewayRecord, index: int) -> int | None:
    """Give the status that a try got: nginx's list, else the code that Kong's balancer noted."""
    if index < len(attempt.upstream_status):
        word = attempt.upstream_status[index]
        if word.isdigit() and word.isascii():
            return int(word)
    return attempt.tries[index].code


def try_times(attempt: GatewayRecord, index: int) -> tuple[int, int]:
    """Give start and end of a try, UTC epoch microseconds: until the next one begins, the last until its answer."""
    tries = attempt.tries
    start_us = _try_start(attempt, index)
    if index + 1 < len(tries):
        return start_us, max(start_us, _try_start(attempt, index + 1))
    last = tries[index]
    end_us = start_us + int(
        ((last.balancer_ms or 0) + (attempt.proxy_ms or 0) + (attempt.receive_ms or 0)) * 1000
    )
    return start_us, max(start_us, end_us)


def _try_start(attempt: GatewayRecord, index: int) -> int:
    started_us = attempt.tries[index].started_us
    return started_us if started_us is not None else attempt.started_us + int((attempt.kong_ms or 0) * 1000)


def try_error(status: int | None, state: str | None) -> str | None:
    """Give `error.type` of a try: its status, else how Kong's balancer marked it; None where it went well."""
    return state if status is None else client_error(status)[0]


@_blocks.remember
def _name(method: str | None, target: str | None) -> bytes:
    return span_name(name_of(method, target))


@_blocks.remember
def _asked(
    method: str | None, scheme: str | None, host: str | None, status: int | None, source: str | None
) -> bytes:
    return b"".join(
        (
            key.asked(method, scheme, host),
            key.maybe_int(key.STATUS, status),
            key.maybe(key.ERROR_TYPE, server_error(status)[0]),
            key.maybe(key.KONG_SOURCE, source),
        )
    )


@_blocks.remember
def _kong(  # noqa: PLR0917 -- the key of a cache
    service: str | None,
    service_id: str | None,
    route: str | None,
    route_id: str | None,
    workspace: str | None,
    tls_version: str | None,
    tls_cipher: str | None,
    delivered: bool,
) -> bytes:
    return b"".join(
        (
            key.maybe(key.KONG_SERVICE, service),
            key.maybe(key.KONG_SERVICE_ID, service_id),
            key.maybe(key.KONG_ROUTE, route),
            key.maybe(key.KONG_ROUTE_ID, route_id),
            key.maybe(key.KONG_WORKSPACE, workspace),
            key.tls(tls_version, tls_cipher),
            yes("lineage.delivered", value=delivered),
        )
    )


def _denied(attempt: GatewayRecord) -> bytes:
    """Write that the gateway refused by itself: a plugin, a limit, no route."""
    status = attempt.status or 0
    if attempt.source != "kong" or not _CLIENT_ERROR <= status < _SERVER_ERROR:
        return b""
    return event("kong.denied", attempt.started_us + int((attempt.kong_ms or 0) * 1000))


@_blocks.remember
def _sent(  # noqa: PLR0917 -- the key of a cache
    method: str | None, ip: str | None, port: int | None, status: int | None, index: int, state: str | None
) -> bytes:
    return b"".join(
        (
            key.method(method),
            key.maybe(key.SERVER_ADDRESS, ip),
            key.maybe_int(key.SERVER_PORT, port),
            key.maybe(key.PEER_ADDRESS, ip),
            key.maybe_int(key.PEER_PORT, port),
            key.maybe_int(key.STATUS, status),
            key.maybe(key.ERROR_TYPE, try_error(status, state)),
            key.maybe(key.TRY_STATE, state),
            key.RESEND(index) if index else b"",
        )
    )
