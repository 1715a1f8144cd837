"""Decides which lineages' spans are sent, makes them and puts them into the queue, before the rows are written."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from msgspec.structs import force_setattr

from pipeline.join.settle import Settled
from pipeline.model import Lineage, SpanRecord
from pipeline.spans import DROPPED, Framer, SamplingRules, Spans, decide
from pipeline.spans.waiting import INTERNAL_ERROR, SpanInlet

_log = logging.getLogger(__name__)

_DROPPED = SpanRecord(DROPPED)
_NONE: frozenset[bytes] = frozenset()


class SpanSink:
    """The engine's side of the queue.

    Args:
        queue: Where spans go.
        spans: Makes them.
        rules: Says whose are made.
    """

    def __init__(self, queue: SpanInlet, spans: Spans, rules: SamplingRules) -> None:
        self.decided: Counter[str] = Counter()
        """Requests by decision, since the process began; one that was decided again counts again."""
        self._queue = queue
        self._spans = spans
        self._rules = rules

    async def keep(self, closed: Sequence[Settled], shown: Sequence[Settled] = ()) -> None:
        """Put the spans of rows that are about to be written into the queue, and say so in the rows.

        A row whose spans were sent already sends only those that it did not have then; a decision to send is
        never taken back. Spans that do not fit are dropped and counted, and their row says that none were sent.

        Args:
            closed: What is written for good, as far as is known.
            shown: What still waits for more, and is decided when it is closed; only where a late half joins
                what was sent already, its spans follow at once.
        """
        pass_ = _Pass(self._spans, self._queue)
        for many, still_waits in ((shown, True), (closed, False)):
            for one in many:
                for row in one.lineages:
                    if not row.is_deleted:
                        self._take(pass_, row, one.before, still_waits=still_waits)
        await self._hand_over(pass_)

    def _take(self, pass_: _Pass, row: Lineage, before: Sequence[Lineage], *, still_waits: bool) -> None:
        try:
            decision, known = self._earlier(row, before) if before else (None, _NONE)
            if decision is not None or not still_waits:
                self._put(pass_, row, decision or decide(row, self._rules), known)
        except Exception as error:  # noqa: BLE001 -- a hostile record may not stop the engine
            pass_.failed += self._spans.count(row)
            force_setattr(row, "spans", SpanRecord())
            _log.error("the spans of a request cannot be made: %s", type(error).__name__)

    def _put(self, pass_: _Pass, row: Lineage, decision: str, known: frozenset[bytes]) -> None:
        self.decided[decision] += 1
        if decision == DROPPED:
            force_setattr(row, "spans", _DROPPED)  # frozen for all others; nobody has seen it yet
        else:
            force_setattr(row, "spans", SpanRecord(decision, *pass_.add(row, known)))

    async def _hand_over(self, pass_: _Pass) -> None:
        if pass_.full:
            await self._queue.drop(self._queue.why_full, pass_.full)
        if pass_.failed:
            await self._queue.drop(INTERNAL_ERROR, pass_.failed)
        frames = pass_.framer.take()
        if frames and not await self._queue.put(frames):
            for row in pass_.rows:
                force_setattr(row, "spans", SpanRecord(row.spans.decision, 0, row.spans.parent_id))

    def _earlier(self, row: Lineage, before: Sequence[Lineage]) -> tuple[str | None, frozenset[bytes]]:
        """Give the decision that stands for a row's records already, and the ids of the spans that were sent."""
        mine = {attempt.attempt_id for attempt in row.attempts}
        decision: str | None = None
        known: set[bytes] = set()
        for old in before:
            same = old.rec_id == row.rec_id and old.request_id == row.request_id
            if not same and mine.isdisjoint(attempt.attempt_id for attempt in old.attempts):
                continue
            if old.spans.decision not in {None, DROPPED}:
                decision = old.spans.decision
            if old.spans.sent:
                ids = self._spans.ids_of(old)
                if (
                    len(ids) == old.spans.sent
                ):  # else they were made by other settings, and all are sent again
                    known |= ids
        return decision, frozenset(known)


class _Pass:
    """One batch on its way into the queue.

    Args:
        spans: Makes spans.
        queue: Says how much fits.
    """

    def __init__(self, spans: Spans, queue: SpanInlet) -> None:
        self.framer = Framer(queue.most_bytes)
        self.rows: list[Lineage] = []
        self.full = 0
        """Spans that did not fit."""
        self.failed = 0
        """Spans that could not be made."""
        self._spans = spans
        self._room = queue.room

    def add(self, row: Lineage, known: frozenset[bytes]) -> tuple[int, str | None]:
        """Take a row's spans; gives how many of its spans are sent now or were, and where they hang."""
        spans = self._spans
        if self._room <= 0:  # not even made
            self.full += max(0, spans.count(row) - len(known))
            return 0, spans.parent_of(row)
        built = spans.of(row)
        news = [span for span in built if span.span_id not in known] if known else built
        size = sum([len(span.body) for span in news])
        self._room -= size
        if self._room < 0:
            self.full += len(news)
            return 0, spans.parent_of(row)
        self.framer.add(news)
        self.rows.append(row)
        return len(built), spans.parent_of(row)
