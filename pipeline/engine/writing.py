"""The second stage: unite with what is stored, write, commit."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from pipeline.clock import Clock
from pipeline.contracts import Batch, Bus, LookupKey, Store
from pipeline.engine.draft import Draft
from pipeline.engine.progress import Progress
from pipeline.errors import StoreUnavailable
from pipeline.join.group import Group
from pipeline.join.offsets import OffsetTracker
from pipeline.join.settle import Settled, settle
from pipeline.model import DeadLetter, Lineage, Outcome, OutcomeKind, Source

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.05, 5.0


class WriteStage:
    """Makes one draft after another durable, in order, each wholly or not at all."""

    def __init__(self, *, bus: Bus, store: Store, clock: Clock, progress: Progress) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._progress = progress
        self._offsets = OffsetTracker(bus.committed)
        self.is_idle = True

    async def write(self, draft: Draft) -> None:
        """Settle, store, commit. A store that is away is waited for; nothing is committed meanwhile."""
        self.is_idle = False
        stored = await self._find(draft.groups)
        lineages: list[Lineage] = []
        outcomes: list[tuple[int, Outcome]] = []
        for group, settled in self._settle(draft.groups, stored):
            lineages += settled.lineages
            outcomes += settled.outcomes
            self._progress.evicted += group.closed == "evicted"
        lineages.sort(key=_tombstones_last)
        outcomes += [(event.offset, _EVENTS[event.kind == "stream_session"]) for event in draft.events]
        outcomes += [(dead.offset, _dead_letter(dead.source, dead.reason)) for dead in draft.dead_letters]
        if lineages or draft.events or draft.dead_letters:
            batch = Batch(lineages, draft.events, draft.dead_letters)
            refused = await self._insist(lambda: self._store.write(batch))
            outcomes = _corrected(outcomes, refused)
            self._count(lineages)
        await self._commit(outcomes)
        self.is_idle = True

    async def _find(self, groups: Sequence[Group]) -> dict[int, list[Lineage]]:
        """Ask the store once for all groups of which it may hold a part; by index of the group."""
        asked = [(index, key) for index, group in enumerate(groups) if (key := self._lookup_key(group))]
        if not asked:
            return {}
        self._progress.looked_up += len(asked)
        rows = _ById(await self._insist(lambda: self._store.find_stored([key for _, key in asked])))
        return {index: rows.sharing(key) for index, key in asked}

    def _lookup_key(self, group: Group) -> LookupKey | None:
        if not group.look_up and not self._store.may_hold(group.bucket_s()):
            return None
        return group.lookup_key()

    def _settle(
        self, groups: Sequence[Group], stored: dict[int, list[Lineage]]
    ) -> Iterable[tuple[Group, Settled]]:
        """Settle in order. A group that was looked up also meets the rows of this very draft."""
        fresh = _ById(())
        for index, group in enumerate(groups):
            found = stored.get(index)
            if found is None:
                settled = settle(group, ())
            else:
                settled = settle(group, fresh.newest(found, group.lookup_key()))
                self._progress.late += bool(found)
            if stored:
                fresh.add(settled.lineages)
            for row in settled.lineages:
                self._progress.cover(row.bucket_s)
            for row in found or ():
                self._progress.cover(row.bucket_s)
            yield group, settled

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

    def _count(self, lineages: Sequence[Lineage]) -> None:
        progress = self._progress
        for lineage in lineages:
            if lineage.is_deleted:
                progress.tombstones_written += 1
            else:
                progress.lineages_written[lineage.outcome] += 1
        progress.batches_written += 1
        progress.last_write_ns = self._clock.now_ns()


class _ById:
    """Rows by each id they can be found by."""

    def __init__(self, rows: Iterable[Lineage]) -> None:
        self._rows: defaultdict[str, dict[tuple[int, str, int], Lineage]] = defaultdict(dict)
        self.add(rows)

    def add(self, rows: Iterable[Lineage]) -> None:
        """Take rows in; a later one with the same key replaces an earlier one."""
        for row in rows:
            for row_id in _ids(row):
                self._rows[row_id][row.bucket_s, row.request_id, row.rec_id] = row

    def sharing(self, key: LookupKey) -> list[Lineage]:
        """Give the rows that share an id with a key, each once."""
        found: dict[tuple[int, str, int], Lineage] = {}
        for row_id in (*key.request_ids, *key.gateway_request_ids):
            found |= self._rows.get(row_id, {})
        return list(found.values())

    def newest(self, stored: Iterable[Lineage], key: LookupKey) -> list[Lineage]:
        """Give stored rows and those that share an id with a key, live ones, the highest `rev` of each."""
        newest: dict[tuple[int, str, int], Lineage] = {}
        for row in (*stored, *self.sharing(key)):
            name = (row.bucket_s, row.request_id, row.rec_id)
            if name not in newest or row.rev >= newest[name].rev:
                newest[name] = row
        return [row for row in newest.values() if not row.is_deleted]


def _ids(row: Lineage) -> Iterable[str]:
    if row.request_id:
        yield row.request_id
    if row.edge is not None and row.edge.gateway_request_id:
        yield row.edge.gateway_request_id
    for attempt in row.attempts:
        yield from attempt.request_ids
        if attempt.gateway_request_id:
            yield attempt.gateway_request_id


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
