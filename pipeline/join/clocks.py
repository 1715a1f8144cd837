"""How far clocks of edge and gateway nodes stand apart, learnt from requests whose halves are proven.

An attempt lies within its edge record's interval: it cannot have begun before the edge had sent the request, nor
ended after the edge had the answer. That bounds the offset of the two clocks on both sides, and the midpoint of
the bounds is a sample. The median of the newest samples of a pair of nodes is the estimate: half of them may be
wrong altogether. It is stored beside a lineage and used to draw it; logged times stay as they are, nothing is
joined by it, and no rule of the join looks at it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from msgspec.structs import force_setattr

from pipeline.join.lineage_flags import CLOCK_SKEW
from pipeline.model import EdgeRecord, GatewayRecord, Lineage

SKEW_MS = 100.0
"""From here on a lineage is flagged `clock_skew`: what NTP keeps is ten times less."""
_FEWEST = 5
"""Samples before there is an estimate."""
_SAMPLES = 65
"""Newest samples of a pair; an odd number, so that the median is one of them."""
_MOST_PAIRS = 1000
_MOST_A_BATCH = 50
"""Lineages of a batch that are looked at; its size costs nothing."""

Pair = tuple[str, str]
"""Names of edge node and gateway node."""


class Bounds(NamedTuple):
    """Between what an offset must lie for an attempt to lie within its edge record, milliseconds."""

    low_ms: float
    high_ms: float

    @property
    def middle_ms(self) -> float:
        """The likeliest, all else unknown."""
        return (self.low_ms + self.high_ms) / 2

    def nearest(self, offset_ms: float) -> float:
        """Give the offset within the bounds that is nearest; the middle where no offset is."""
        if self.low_ms > self.high_ms:
            return self.middle_ms
        return min(max(offset_ms, self.low_ms), self.high_ms)


def bounds_of(edge: EdgeRecord, attempt: GatewayRecord) -> Bounds | None:
    """Give the bounds of gateway clock minus edge clock; None where the edge's times are not known.

    The edge sent the request when TR, Tw and, unless it retried, Tc had passed (manual 8.4); on a retry Tc holds
    the earlier attempts as well.
    """
    timers = edge.timers
    if timers.Ta is None:
        return None
    sent_ms = (timers.TR or 0) + (timers.Tw or 0) + (0 if edge.retries else timers.Tc or 0)
    into_ms = (attempt.started_us - edge.start_us) / 1000
    return Bounds(into_ms + (attempt.request_ms or 0.0) - timers.Ta, into_ms - sent_ms)


class ClockOffsets:
    """Estimates for a bounded number of pairs of nodes; those not seen for longest are forgotten."""

    def __init__(self) -> None:
        self._samples: OrderedDict[Pair, deque[float]] = OrderedDict()
        self._estimates: dict[Pair, float] = {}

    def learn(self, lineages: Sequence[Lineage]) -> None:
        """Take samples from some proven lineages of a batch, spread over it."""
        touched: set[Pair] = set()
        for lineage in lineages[:: 1 + len(lineages) // _MOST_A_BATCH]:
            edge = lineage.edge
            if edge is None or edge.retries or lineage.match != "proven" or lineage.delivered is None:
                continue
            attempt = lineage.attempts[lineage.delivered]
            pair, bounds = _pair(edge, attempt), bounds_of(edge, attempt)
            if pair is not None and bounds is not None:
                self._samples.setdefault(pair, deque(maxlen=_SAMPLES)).append(bounds.middle_ms)
                self._samples.move_to_end(pair)
                touched.add(pair)
        for pair in touched:
            if len(self._samples[pair]) >= _FEWEST:
                self._estimates[pair] = round(median(self._samples[pair]), 1)
        while len(self._samples) > _MOST_PAIRS:
            self._estimates.pop(self._samples.popitem(last=False)[0], None)

    def estimate_ms(self, edge_node: str | None, gateway_node: str | None) -> float | None:
        """Give gateway clock minus edge clock, milliseconds; None where too little is known."""
        return self._estimates.get((edge_node or "", gateway_node or ""))

    def mark(self, lineages: Sequence[Lineage]) -> None:
        """Put the estimates of this moment into lineages that were just made, and flag clocks far apart.

        A lineage that carries an estimate already was given it when it was joined, and keeps it.
        """
        if not self._estimates:
            return
        for lineage in lineages:
            edge, attempts = lineage.edge, lineage.attempts
            if edge is None or not attempts or lineage.clock_offset_ms is not None:
                continue
            attempt = attempts[lineage.delivered if lineage.delivered is not None else -1]
            offset_ms = self._estimates.get((edge.node or "", attempt.node or ""))
            if offset_ms is None:
                continue
            # Frozen for all others; nobody else has seen it yet, and a copy would cost ten times as much.
            force_setattr(lineage, "clock_offset_ms", offset_ms)
            if abs(offset_ms) >= SKEW_MS:
                force_setattr(lineage, "flags", tuple(sorted({*lineage.flags, CLOCK_SKEW})))


def _pair(edge: EdgeRecord, attempt: GatewayRecord) -> Pair | None:
    return (edge.node, attempt.node) if edge.node and attempt.node else None
