"""When a request began and ended, from the halves that are there."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.model import EdgeRecord, GatewayRecord, Lineage


class Span(NamedTuple):
    """A stretch of time, UTC epoch microseconds."""

    start_us: int
    end_us: int
    duration_ms: float


def span_of_time(lineage: Lineage) -> Span:
    """Give a lineage's start, end and duration: the edge's, else first attempt's start to last one's end."""
    return span_of(lineage.edge, lineage.attempts)


def span_of(edge: EdgeRecord | None, attempts: tuple[GatewayRecord, ...]) -> Span:
    """Give the same of records; at least one must be there."""
    if edge is not None:
        duration_us = edge.timers.Ta * 1000 if edge.timers.Ta is not None else 0
        if edge.timers.Ta is None and edge.end_us is not None:
            duration_us = max(0, edge.end_us - edge.start_us)
        return Span(edge.start_us, edge.start_us + duration_us, duration_us / 1000)
    start_us = min(attempt.started_us for attempt in attempts)
    end_us = max(attempt.started_us + int((attempt.request_ms or 0) * 1000) for attempt in attempts)
    return Span(start_us, end_us, (end_us - start_us) / 1000)
