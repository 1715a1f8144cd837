"""PURE: which requests' spans are sent. Rows are never sampled; this is asked before any span is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.join.times import span_of_time
from pipeline.model import Lineage
from pipeline.spans.ids import context_of, trace_id_for
from pipeline.spans.names import edge_error

DROPPED = "dropped"
"""The decision that nothing is sent; any other word is the reason why spans are."""
REASONS = ("error", "retry", "conflict", "slow", "sampled", "share")
_RANDOM_DIGITS = 14
"""Hexadecimal digits at the end of a trace id that are random (W3C Trace Context Level 2): 56 bits."""
_RANDOM_VALUES = 16**_RANDOM_DIGITS
_SERVER_ERROR = 500


class SamplingRules(NamedTuple):
    """What the operator wants to see."""

    errors: bool = True
    """Keep what failed: 5xx on either hop, an answer that was cut off."""
    retries: bool = True
    """Keep what was tried more than once, by edge or gateway."""
    conflicts: bool = True
    """Keep lineages that are in conflict."""
    slow_ms: float | None = None
    """Keep what took as long, milliseconds."""
    slow_routes_ms: Mapping[str, float] = {}
    """The same for single routes, by Kong's name of them."""
    follow_caller: bool = False
    """Keep what the trace's context says is sampled, and drop what it says is not."""
    share: float = 1.0
    """Share of the rest that is kept, 0 to 1, by trace id: all services that do so keep the same traces."""


def decide(lineage: Lineage, rules: SamplingRules) -> str:
    """Give the reason why a lineage's spans are sent, or `DROPPED`."""
    reason = _interest(lineage, rules)
    if reason is not None:
        return reason
    if rules.follow_caller and (sampled := _is_sampled(lineage)) is not None:
        return "sampled" if sampled else DROPPED
    if rules.share >= 1.0:
        return "share"
    random = int(trace_id_for(lineage)[-_RANDOM_DIGITS:], 16)
    return "share" if random >= round((1.0 - rules.share) * _RANDOM_VALUES) else DROPPED


def _interest(lineage: Lineage, rules: SamplingRules) -> str | None:
    """Give what makes a lineage worth keeping by itself."""
    attempts = lineage.attempts
    if rules.errors and _failed(lineage):
        return "error"
    if rules.retries and (
        len(attempts) > 1
        or (lineage.edge is not None and lineage.edge.retries > 0)
        or any(len(attempt.tries) > 1 for attempt in attempts)
    ):
        return "retry"
    if rules.conflicts and lineage.match == "conflict":
        return "conflict"
    return "slow" if _is_slow(lineage, rules) else None


def _failed(lineage: Lineage) -> bool:
    edge = lineage.edge
    if edge is not None and edge_error(edge.status, edge.termination)[1]:
        return True
    return any((attempt.status or 0) >= _SERVER_ERROR for attempt in lineage.attempts)


def _is_slow(lineage: Lineage, rules: SamplingRules) -> bool:
    limit_ms = rules.slow_ms
    if rules.slow_routes_ms and lineage.attempts:
        route = lineage.attempts[-1 if lineage.delivered is None else lineage.delivered].route
        limit_ms = rules.slow_routes_ms.get(route or "", limit_ms)
    return limit_ms is not None and span_of_time(lineage).duration_ms >= limit_ms


def _is_sampled(lineage: Lineage) -> bool | None:
    """Give the sampled flag that the trace came with; the edge's own, else what the gateway saw."""
    edge = lineage.edge
    if edge is not None and edge.traceparent:
        claimed = context_of(edge.claimed_traceparent)
        own = context_of(edge.traceparent)
        if own is not None and claimed is not None and claimed.trace_id == own.trace_id:
            return claimed.is_sampled
        if own is not None:
            return own.is_sampled
    for attempt in lineage.attempts:
        if (context := context_of(attempt.traceparent)) is not None:
            return context.is_sampled
    return None
