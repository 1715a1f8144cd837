"""Bus → parse → join → store → commit, in two tasks."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.contracts import Outlet, Store
from pipeline.engine.draft import Draft, ParseStage
from pipeline.engine.progress import Progress
from pipeline.engine.writing import Offsets, SpanKeeper, WriteStage
from pipeline.join.group import Group
from pipeline.join.joiner import Joiner

_log = logging.getLogger(__name__)

_READ_RECORDS = 1000
"""Records parsed between two looks at the loop: larger batches miss the processor's caches."""
_IDLE_S = 0.1
"""How often an idle engine looks whether a window has ended."""
_SHOW_EVERY_NS, _SHOWN_AT_ONCE = 10**9, 1000
"""How often what still waits is shown, and how much at once: what costs rows that are soon replaced is bounded."""
_NEARLY_FULL = 0.8
"""Share of the bus at which the oldest waiting halves are given up (design section 7)."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """When a batch is written: as soon as one of them is reached."""

    batch_rows: int
    batch_age_s: float
    batch_bytes: int = 64 * 2**20


class Engine:
    """Moves records from a bus into a store until told to stop.

    Args:
        event_time: Let windows end by the records' own arrival stamps alone: for replays of files, whose
            stamps are event times. Otherwise stamps lead while there is a backlog, and the clock once the
            bus is empty, so that a restart after an outage closes nobody's window early.
        offsets: What remembers which records are done, where the bus has its own.
        spans: What sends spans; None where none are sent.
    """

    def __init__(
        self,
        *,
        bus: Outlet,
        parse: ParseStage,
        joiner: Joiner,
        store: Store,
        clock: Clock,
        limits: EngineLimits,
        event_time: bool = False,
        offsets: Offsets | None = None,
        spans: SpanKeeper | None = None,
    ) -> None:
        self.joiner = joiner
        self.progress = Progress()
        self._bus = bus
        self._parse = parse
        self._clock = clock
        self._limits = limits
        self._event_time = event_time
        self._writing = WriteStage(
            bus=bus,
            store=store,
            clock=clock,
            progress=self.progress,
            offsets=offsets,
            most_per_id=joiner.most_per_key,
            shun=joiner.shun,
            spans=spans,
        )
        self._drafts: asyncio.Queue[Draft | None] = asyncio.Queue(maxsize=1)
        self._draining = False
        self._flushing = False
        self._shown_ns = 0

    def drain(self, *, flush: bool) -> None:
        """Ask for an end once the bus is read empty; call it on the engine's own loop.

        Args:
            flush: Close the windows of what still waits (a file has ended). Without it waiting halves stay
                on the bus and go on at the next start.
        """
        self._draining, self._flushing = True, flush

    async def run(self) -> None:
        """Move data until drained; a failure of either stage ends both."""
        async with asyncio.TaskGroup() as stages:
            stages.create_task(self._gather(), name="gather")
            stages.create_task(self._write(), name="write")

    async def _gather(self) -> None:
        draft = Draft(self._clock.now_ns())
        while True:
            last = self._draining  # asked before reading: what came before the request is read
            deliveries = await self._bus.read(_READ_RECORDS, 0.0 if last else _IDLE_S)
            for delivery in deliveries:
                self._parse.parse(delivery, self.joiner.add, draft)
                self.progress.records_read += len(delivery.bodies)
                self.progress.last_arrival_ns = max(self.progress.last_arrival_ns, delivery.arrival_ns)
            self.progress.caught_up = not deliveries
            self._sample()
            self._take(self.joiner.due(self._now_ns()), draft)
            self._take_broken(draft)
            self._relieve(draft)
            if last and not deliveries:
                break
            if self._show(draft) or self._is_due(draft):
                await self._drafts.put(draft)
                draft = Draft(self._clock.now_ns())
            else:
                await asyncio.sleep(0)  # the write task shares this loop
        while self._flushing and self.joiner.pending:
            self._take(self.joiner.flush(_READ_RECORDS), draft)
            self._take_broken(draft)
            if self._is_full(draft):
                await self._drafts.put(draft)
                draft = Draft(self._clock.now_ns())
        await self._drafts.put(draft)
        await self._drafts.put(None)

    def _take(self, groups: list[Group], draft: Draft) -> None:
        """Take groups that were closed."""
        if self._writing.early is None:
            draft.groups += groups
        else:
            self._writing.early.take(groups, draft)

    def _now_ns(self) -> int:
        if self._event_time or not self.progress.caught_up:
            return self.progress.last_arrival_ns
        return self._clock.now_ns()

    def _show(self, draft: Draft) -> bool:
        """Put what has waited for a while into a draft that is about to be written; says whether there is any.

        Not in replays of files, nor while we are behind: what is missing may be among what is still to be read.
        """
        now_ns = self._clock.now_ns()
        if self._event_time or self._draining or now_ns - self._shown_ns < _SHOW_EVERY_NS:
            return False
        is_behind = not self.progress.caught_up and now_ns - self.progress.last_arrival_ns > _SHOW_EVERY_NS
        if is_behind or not self._drafts.empty():
            return False
        self._shown_ns = now_ns
        draft.shown = self.joiner.unfinished(self._now_ns(), _SHOWN_AT_ONCE)
        return bool(draft.shown)

    def _is_full(self, draft: Draft) -> bool:
        return draft.rows >= self._limits.batch_rows or draft.bytes >= self._limits.batch_bytes

    def _is_due(self, draft: Draft) -> bool:
        if self._is_full(draft):
            return True
        if self._event_time and not self.progress.caught_up:
            return False  # whole batches of a file's rows cost less, when they are written and when merged
        age_ns = self._clock.now_ns() - draft.born_ns
        return draft.rows > 0 and age_ns >= self._limits.batch_age_s * 1e9

    def _relieve(self, draft: Draft) -> None:
        """Give up the oldest waiting halves where they, and not the store, keep the bus full."""
        if self._bus.fill < _NEARLY_FULL or not self._writing.is_idle or not self._drafts.empty():
            return
        evicted = self.joiner.evict(max(1, self.joiner.pending // 10))
        if evicted:
            _log.warning("the bus is nearly full: gave up %d waiting groups as evicted", len(evicted))
        self._take(evicted, draft)

    def _sample(self) -> None:
        """Measure how late one record of this read is, and how long one first half has waited."""
        sample = self._parse.take_sample()
        if sample is not None:
            self.progress.lateness.arrived(*sample)
        self.progress.lateness.met(self.joiner.take_waits())

    def _take_broken(self, draft: Draft) -> None:
        broken = self.joiner.take_broken()
        if broken:
            _log.error("%d groups that waited could not be read back, and become dead letters", len(broken))
            draft.broken += [(group, "cannot be read back") for group in broken]

    async def _write(self) -> None:
        while (draft := await self._drafts.get()) is not None:
            await self._writing.write(draft)
