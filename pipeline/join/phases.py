"""Where the time of a request went.

HAProxy's timers (manual 8.4) cut the request; the delivered attempt's latencies cut HAProxy's wait for the
response headers. The phases follow each other without gaps and sum to the duration; a timer that HAProxy logs
as -1 was never reached and makes no phase, and is never taken for zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.join.times import span_of_time
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Phase

_Stretch = tuple[str, str, float]
"""Name, hop, milliseconds."""


def phases_of(lineage: Lineage) -> list[Phase]:
    """Give the phases in order; their durations sum to the lineage's `duration_ms`."""
    total_ms = span_of_time(lineage).duration_ms
    attempt = lineage.attempts[lineage.delivered] if lineage.delivered is not None else None
    if lineage.edge is not None:
        stretches = _edge_stretches(lineage.edge, attempt)
        rest, rest_hop = _rest(lineage.edge, lineage.attempts)
    else:
        stretches = _attempt_stretches(lineage.attempts[lineage.delivered or 0])
        rest, rest_hop = "response", "client"
    return list(_laid_out([*stretches, (rest, rest_hop, total_ms)], total_ms))


def _edge_stretches(edge: EdgeRecord, attempt: GatewayRecord | None) -> Iterator[_Stretch]:
    timers = edge.timers
    if timers.TR is not None:
        yield "client_request", "client", timers.TR
    if timers.Tw is not None:
        yield "edge_queue", "edge", timers.Tw
    if timers.Tc is not None:
        # Tc holds the earlier attempts of HAProxy's retries as well as the connection itself.
        yield "earlier_attempts" if edge.retries else "edge_connect", "edge", timers.Tc
    if timers.Tr is not None:
        yield from _wait(timers.Tr, attempt)


def _rest(edge: EdgeRecord, attempts: tuple[GatewayRecord, ...]) -> tuple[str, str]:
    """Name what took the time behind the last timer that was reached."""
    timers = edge.timers
    if timers.Tr is not None:
        return "response", "client"
    if timers.Tc is not None:
        return "no_response", "upstream" if attempts and attempts[-1].tries else "gateway"
    if timers.TR is not None:
        return "no_connection", "edge"
    return "unfinished_request", "client"


def _wait(wait_ms: float, attempt: GatewayRecord | None) -> Iterator[_Stretch]:
    """Cut HAProxy's wait for the headers by what the gateway says of it."""
    if attempt is None or (attempt.kong_ms is None and attempt.proxy_ms is None):
        yield "gateway_and_upstream", "gateway", wait_ms
        return
    upstream_ms = min(attempt.proxy_ms or 0.0, wait_ms)
    yield "gateway", "gateway", wait_ms - upstream_ms
    if attempt.proxy_ms is not None:
        yield "upstream", "upstream", upstream_ms


def _attempt_stretches(attempt: GatewayRecord) -> Iterator[_Stretch]:
    if attempt.kong_ms is not None:
        yield "gateway", "gateway", attempt.kong_ms
    if attempt.proxy_ms is not None:
        yield "upstream", "upstream", attempt.proxy_ms


def _laid_out(stretches: list[_Stretch], total_ms: float) -> Iterator[Phase]:
    """Lay stretches end to end within the total; the last takes what is left of it."""
    start_ms = 0.0
    for name, hop, wanted_ms in stretches:
        duration_ms = round(max(0.0, min(wanted_ms, total_ms - start_ms)), 3)
        if duration_ms > 0:
            yield Phase(name, hop, start_ms, duration_ms)
            start_ms = round(start_ms + duration_ms, 3)
