"""The second stage: unite with what is stored, write, commit."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Protocol, TypeVar

from pipeline.clock import Clock
from pipeline.contracts import Batch, Outlet, Store
from pipeline.engine.draft import Draft
from pipeline.engine.faults import REASON as INTERNAL_ERROR
from pipeline.engine.faults import Faults
from pipeline.engine.progress import Progress
from pipeline.engine.recall import Recall, Recalled
from pipeline.engine.rows_by_id import RowsById
from pipeline.engine.settling import EarlySettling, Settling
from pipeline.errors import StoreUnavailable
from pipeline.formats.record_letter import letter_of_record
from pipeline.join.expect import PENDING
from pipeline.join.group import Group
from pipeline.join.offsets import OffsetTracker
from pipeline.join.settle import Settled
from pipeline.model import DeadLetter, EdgeRecord, GatewayRecord, Lineage, Outcome, OutcomeKind, Source

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_MOST_PER_ID = 64
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.05, 5.0


class Offsets(Protocol):
    """Remembers what became of each record; `OffsetTracker`, or a bus's own where its offsets have gaps."""

    def done(self, offset: int, outcome: Outcome) -> None:
        """Say what became of a record, in any order."""
        ...

    def advance(self) -> tuple[int, Counter[Outcome]]:
        """Pass what is done; gives what `Outlet.commit` is to be told."""
        ...


class SpanKeeper(Protocol):
    """Takes the spans of what is about to be written, before it is, so that a kill in between repeats them."""

    async def keep(self, closed: Sequence[Settled], shown: Sequence[Settled]) -> None:
        """Make sure of the spans and say so in the rows, which nobody has seen yet; never raises.

        Args:
            closed: Rows that wait for nothing.
            shown: Rows of groups that still wait.
        """
        ...


class WriteStage:
    """Makes one draft after another durable, in order, each wholly or not at all.

    Args:
        most_per_id: Stored rows that may share an id; see `Recall`.
        shun: Told of each id that turns out a constant.
        spans: What sends spans; None where none are sent.
    """

    def __init__(
        self,
        *,
        bus: Outlet,
        store: Store,
        clock: Clock,
        progress: Progress,
        offsets: Offsets | None = None,
        most_per_id: int = _MOST_PER_ID,
        shun: Callable[[str], None] = lambda _: None,
        spans: SpanKeeper | None = None,
    ) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._progress = progress
        self._offsets = offsets or OffsetTracker(bus.committed)
        self._spans = spans
        faults = Faults()
        self._settling = Settling(faults, progress)
        self._recall = Recall(store, self._insist, faults, most_per_id, shun)
        self.early = EarlySettling(store, self._settling) if spans is None else None
        """Settles what closes; None where spans are made of each row before it is written."""
        self.is_idle = True

    async def write(self, draft: Draft) -> None:
        """Settle, store, commit. A store that is away is waited for; nothing is committed meanwhile."""
        self.is_idle = False
        recalled = await self._recall.of([*draft.groups, *draft.shown])
        self._progress.looked_up += len(recalled.rows)
        lineages: list[Lineage] = []
        outcomes = draft.outcomes
        closed: list[Settled] = []
        shown: list[Settled] = []
        for group, settled in self._settle(draft, recalled):
            lineages += settled.lineages
            if self._spans is not None:
                (shown if group.closed == "pending" else closed).append(settled)
            outcomes += settled.outcomes
        outcomes += self._bury(draft)
        self._settling.finish(lineages)
        if self._spans is not None:
            await self._spans.keep(closed, shown)
        lineages.sort(key=_tombstones_last)
        outcomes += [(event.offset, _EVENTS[event.kind == "stream_session"]) for event in draft.events]
        outcomes += [(dead.offset, _dead_letter(dead.source, dead.reason)) for dead in draft.dead_letters]
        batch = Batch(lineages, draft.events, draft.dead_letters, packed=draft.packed)
        if any(batch):
            refused = await self._insist(lambda: self._store.write(batch))
            outcomes = _corrected(outcomes, refused)
            self._count(draft.written, lineages)
        await self._commit(outcomes)
        self.is_idle = True

    def _settle(self, draft: Draft, recalled: Recalled) -> Iterator[tuple[Group, Settled]]:
        """Settle in order. A group that was looked up also meets the rows of this very draft."""
        groups = [*draft.groups, *draft.shown]
        fresh = RowsById()
        entangled = recalled.entangled
        if recalled.rows and draft.packed:
            wanted = {one for key in recalled.keys.values() for one in key.ids}
            for row in chain.from_iterable(piece.sharing(wanted) for piece in draft.packed):
                fresh.add([row])
                entangled = range(len(groups))
        for index, group in enumerate(groups):
            found = recalled.rows.get(index)
            known = found or ()
            if found is not None and index in entangled:
                known = fresh.newest(found, recalled.keys[index])
            settled = recalled.broken.get(index) or self._settling.settle(
                group, known, recalled.kept.get(index, ())
            )
            if isinstance(settled, str):
                if group.closed != "pending":
                    draft.broken.append((group, settled))
                continue
            if recalled.rows and (found is None or index in entangled):
                fresh.add(settled.lineages)
            for row in found or ():
                self._progress.cover(row.bucket_s)
            if group.closed != "pending":
                self._progress.late += any(row.missing != PENDING for row in found or ())
            yield group, settled

    @staticmethod
    def _bury(draft: Draft) -> list[tuple[int, Outcome]]:
        """Make dead letters of the groups that could not be settled; gives what became of their copies."""
        outcomes = []
        for group, detail in draft.broken:
            records: tuple[EdgeRecord | GatewayRecord, ...] = (*group.edges, *group.attempts)
            for record in records:
                draft.dead_letters.append(letter_of_record(record, INTERNAL_ERROR, detail))
            outcomes += [(offset, _dead_letter(source, INTERNAL_ERROR)) for source, offset in group.copies]
        return outcomes

    async def _commit(self, outcomes: Iterable[tuple[int, Outcome]]) -> None:
        for offset, outcome in outcomes:
            self._offsets.done(offset, outcome)
        offset, counts = self._offsets.advance()
        if counts:
            await self._bus.commit(offset, counts)

    async def _insist(self, act: Callable[[], Awaitable[_T]]) -> _T:
        """Try until the store answers, with back-off and jitter."""
        delay_s = _FIRST_RETRY_S
        while True:
            try:
                return await act()
            except StoreUnavailable as error:
                self._progress.write_errors += 1
                _log.warning("the store did not answer, trying again in %.1f s: %s", delay_s, error)
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter, no secret
                delay_s = min(delay_s * 2, _LONGEST_RETRY_S)

    def _count(self, packed: Counter[str], lineages: Sequence[Lineage]) -> None:
        progress = self._progress
        progress.lineages_written += packed
        for lineage in lineages:
            if lineage.is_deleted:
                progress.tombstones_written += 1
            else:
                progress.lineages_written[lineage.outcome] += 1
        progress.batches_written += 1
        progress.last_write_ns = self._clock.now_ns()


def _tombstones_last(lineage: Lineage) -> bool:
    return lineage.is_deleted


_EVENTS = (Outcome(Source.HAPROXY, OutcomeKind.EVENT), Outcome(Source.KONG, OutcomeKind.EVENT))


def _corrected(
    outcomes: list[tuple[int, Outcome]], refused: Sequence[DeadLetter]
) -> list[tuple[int, Outcome]]:
    """Say of records in rows that the store refused that they became dead letters."""
    if not refused:
        return outcomes
    instead = {dead.offset: _dead_letter(dead.source, dead.reason) for dead in refused}
    return [(offset, instead.get(offset, outcome)) for offset, outcome in outcomes]


def _dead_letter(source: Source, reason: str) -> Outcome:
    return Outcome(source, OutcomeKind.DEAD_LETTER, reason)
