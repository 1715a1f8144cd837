"""How late records come, and second halves behind first ones: quantiles of the newest samples.

One record of each read is looked at, and one pair: what is sampled costs nothing that grows with the load. At
low loads every read brings one record, so that all are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.model import EdgeRecord, GatewayRecord, Source

_NEWEST = 1000
"""Samples kept of each source."""
QUANTILES = (0.5, 0.9, 0.99, 1.0)


class Spread(NamedTuple):
    """Quantiles of some samples, seconds."""

    samples: int
    by_quantile: Mapping[float, float]


class Lateness:
    """Written by the engine's thread; read by any."""

    def __init__(self) -> None:
        self._arrivals: dict[Source, deque[float]] = {source: deque(maxlen=_NEWEST) for source in Source}
        self._seconds: dict[Source, deque[float]] = {source: deque(maxlen=_NEWEST) for source in Source}

    def arrived(self, record: EdgeRecord | GatewayRecord, arrival_ns: int) -> None:
        """Take the sample of a record that has just come."""
        source = Source.HAPROXY if type(record) is EdgeRecord else Source.KONG
        self._arrivals[source].append(arrival_ns / 1e9 - _end_us(record) / 1e6)

    def met(self, waits_ns: Mapping[Source, int]) -> None:
        """Take samples of how long first halves had waited, by the source of the second."""
        for source, wait_ns in waits_ns.items():
            self._seconds[source].append(wait_ns / 1e9)

    def arrivals(self) -> Mapping[Source, Spread]:
        """Give arrival minus the end of the request as its source logged it; below 0: its clock runs ahead."""
        return _spreads(self._arrivals)

    def second_halves(self) -> Mapping[Source, Spread]:
        """Give how long first halves waited that were met by a half of a source, in memory."""
        return _spreads(self._seconds)


def spread_document(spread: Spread | None) -> dict[str, float | int] | None:
    """Give a spread as JSON: `p50`, `p90`, `p99`, `max` in seconds, and the number of samples."""
    if spread is None:
        return None
    names = {quantile: "max" if quantile >= 1 else f"p{round(quantile * 100)}" for quantile in QUANTILES}
    return {names[quantile]: round(value, 3) for quantile, value in spread.by_quantile.items()} | {
        "samples": spread.samples
    }


def _end_us(record: EdgeRecord | GatewayRecord) -> float:
    if isinstance(record, EdgeRecord):
        return record.start_us + 1000 * (record.timers.Ta or 0)
    return record.started_us + 1000 * (record.request_ms or 0.0)


def _spreads(samples: Mapping[Source, deque[float]]) -> dict[Source, Spread]:
    spreads = {}
    for source, newest in samples.items():
        ordered = sorted(newest.copy())
        if ordered:
            last = len(ordered) - 1
            at = {quantile: ordered[round(quantile * last)] for quantile in QUANTILES}
            spreads[source] = Spread(len(ordered), at)
    return spreads
