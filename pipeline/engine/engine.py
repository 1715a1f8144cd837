"""Bus → parse → join → store → commit, in two tasks."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.contracts import Bus, Store
from pipeline.engine.draft import Draft, ParseStage
from pipeline.engine.progress import Progress
from pipeline.engine.writing import WriteStage
from pipeline.join.joiner import Joiner

_log = logging.getLogger(__name__)

_READ_RECORDS = 1000
"""Records parsed between two looks at the loop: larger batches miss the processor's caches."""
_IDLE_S = 0.1
"""How often an idle engine looks whether a window has ended."""
_NEARLY_FULL = 0.8
"""Share of the bus at which the oldest waiting halves are given up (design section 7)."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """When a batch is written."""

    batch_rows: int
    batch_age_s: float


class Engine:
    """Moves records from a bus into a store until told to stop.

    Args:
        event_time: Let windows end by the records' own arrival stamps alone: for replays of files, whose
            stamps are event times. Otherwise stamps lead while there is a backlog, and the clock once the
            bus is empty, so that a restart after an outage closes nobody's window early.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        parse: ParseStage,
        joiner: Joiner,
        store: Store,
        clock: Clock,
        limits: EngineLimits,
        event_time: bool = False,
    ) -> None:
        self.joiner = joiner
        self.progress = Progress()
        self._bus = bus
        self._parse = parse
        self._clock = clock
        self._limits = limits
        self._event_time = event_time
        self._writing = WriteStage(bus=bus, store=store, clock=clock, progress=self.progress)
        self._drafts: asyncio.Queue[Draft | None] = asyncio.Queue(maxsize=1)
        self._draining = False
        self._flushing = False

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
            draft.groups += self.joiner.due(self._now_ns())
            self._relieve(draft)
            if last and not deliveries:
                break
            if self._is_due(draft):
                await self._drafts.put(draft)
                draft = Draft(self._clock.now_ns())
            else:
                await asyncio.sleep(0)  # the write task shares this loop
        if self._flushing:
            draft.groups += self.joiner.flush()
        await self._drafts.put(draft)
        await self._drafts.put(None)

    def _now_ns(self) -> int:
        if self._event_time or not self.progress.caught_up:
            return self.progress.last_arrival_ns
        return self._clock.now_ns()

    def _is_due(self, draft: Draft) -> bool:
        if draft.rows >= self._limits.batch_rows:
            return True
        age_ns = self._clock.now_ns() - draft.born_ns
        return draft.rows > 0 and age_ns >= self._limits.batch_age_s * 1e9

    def _relieve(self, draft: Draft) -> None:
        """Give up the oldest waiting halves where they, and not the store, keep the bus full."""
        if self._bus.fill < _NEARLY_FULL or not self._writing.is_idle or not self._drafts.empty():
            return
        evicted = self.joiner.evict(max(1, self.joiner.pending // 10))
        if evicted:
            _log.warning("the bus is nearly full: gave up %d waiting groups as evicted", len(evicted))
        draft.groups += evicted

    async def _write(self) -> None:
        while (draft := await self._drafts.get()) is not None:
            await self._writing.write(draft)
