"""One store for several engines: what they ask and write while it is busy goes together as one.

An engine a partition would make many small inserts and look-ups, and ClickHouse a part of each insert. While one
call runs, others gather; then all of them go together, and succeed together or not at all.

Back pressure: that of the store within. Delivery: the same; each engine is told of all refused rows, and looks for its
own among them by their offsets, which no two have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

from pipeline.contracts import MOST_PER_ID, Batch, Fragment, LookupKey, Packed, Store
from pipeline.errors import StoreUnavailable
from pipeline.model import DeadLetter, EdgeRecord, GatewayRecord, Lineage

_Given = TypeVar("_Given")
_Got = TypeVar("_Got")


class _Waiting(NamedTuple, Generic[_Given, _Got]):
    given: _Given
    size: int
    told: asyncio.Future[_Got]


class _Together(Generic[_Given, _Got]):
    """One kind of call: at most one runs, and what waits goes with the next.

    Args:
        act: Takes what several gave, in the order that they gave it.
        most: Size above which nothing more joins a call.
    """

    def __init__(self, act: Callable[[list[_Given]], Awaitable[_Got]], most: int) -> None:
        self._act = act
        self._most = most
        self._waiting: list[_Waiting[_Given, _Got]] = []
        self._busy = asyncio.Lock()

    async def call(self, given: _Given, size: int) -> _Got:
        """Call, alone or with others; raises what the call raised."""
        mine: _Waiting[_Given, _Got] = _Waiting(given, size, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            async with self._busy:
                while not mine.told.done():
                    await self._call_some()
            return await mine.told
        finally:
            self._waiting = [one for one in self._waiting if one is not mine]

    async def _call_some(self) -> None:
        """Call for those who wait, the longest first."""
        taken: list[_Waiting[_Given, _Got]] = []
        size = 0
        while self._waiting and (not taken or size + self._waiting[0].size <= self._most):
            taken.append(self._waiting.pop(0))
            size += taken[-1].size
        try:
            got = await self._act([one.given for one in taken])
        except Exception as error:  # noqa: BLE001 -- told to each who waits for it
            _tell(taken, error)
            return
        except BaseException:
            # This engine is stopped in the middle; the others try again by themselves.
            _tell(taken, StoreUnavailable("the engine that asked for others too was stopped"))
            raise
        for one in taken:
            if not one.told.done():
                one.told.set_result(got)


def _tell(taken: Sequence[_Waiting[_Given, _Got]], error: Exception) -> None:
    for one in taken:
        if not one.told.done():
            one.told.set_exception(error)
            one.told.exception()  # heard here where its engine is stopped too


class UnitedStore:
    """A `Store` for engines of one loop.

    Args:
        store: What is asked and written to.
        most_rows: Rows, or keys looked for, above which nothing more joins a call.
    """

    def __init__(self, store: Store, most_rows: int) -> None:
        self._store = store
        self._most_per_id = MOST_PER_ID
        self._writing = _Together(self._write, most_rows)
        self._keeping = _Together(self._keep, most_rows)
        self._finding = _Together(self._find_stored, most_rows)
        self._finding_kept = _Together(self._find_kept, most_rows)

    async def write(self, batch: Batch) -> Sequence[DeadLetter]:
        """Make a batch durable; gives all rows that were refused, others' too.

        Raises:
            StoreUnavailable: It may pass later.
        """
        return await self._writing.call(batch, len(batch.lineages) + sum(map(len, batch.packed)))

    def pack(self, lineages: Sequence[Lineage]) -> Packed:
        """Pack rows."""
        return self._store.pack(lineages)

    @property
    def is_shared(self) -> bool:
        """Always: the engines of other partitions write too, in this process and in others."""
        return True

    async def keep(self, fragments: Sequence[Fragment]) -> None:
        """Keep records for whoever looks for their other halves."""
        await self._keeping.call(fragments, len(fragments))

    async def find_kept(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[EdgeRecord | GatewayRecord]:
        """Give kept records that share an id with any of the keys."""
        self._most_per_id = max(self._most_per_id, most_per_id)
        found, wanted = await self._finding_kept.call(keys, len(keys)), _names_of(keys)
        return [record for record in found if not wanted.isdisjoint(_names(record))]

    async def find_stored(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[Lineage]:
        """Give rows that share an id with any of the keys."""
        self._most_per_id = max(self._most_per_id, most_per_id)
        found, wanted = await self._finding.call(keys, len(keys)), _names_of(keys)
        return [
            row
            for row in found
            if any(not wanted.isdisjoint(_names(one)) for one in (row.edge, *row.attempts) if one is not None)
        ]

    def may_hold(self, bucket_s: int) -> bool:
        """Whether rows of before may be near this bucket."""
        return self._store.may_hold(bucket_s)

    async def _write(self, batches: list[Batch]) -> Sequence[DeadLetter]:
        return await self._store.write(unite(batches))

    async def _keep(self, fragments: list[Sequence[Fragment]]) -> None:
        await self._store.keep(list(chain.from_iterable(fragments)))

    async def _find_kept(self, keys: list[Sequence[LookupKey]]) -> list[EdgeRecord | GatewayRecord]:
        wanted = list(chain.from_iterable(keys))
        return await self._store.find_kept(wanted, most_per_id=self._most_per_id)

    async def _find_stored(self, keys: list[Sequence[LookupKey]]) -> list[Lineage]:
        wanted = list(chain.from_iterable(keys))
        return await self._store.find_stored(wanted, most_per_id=self._most_per_id)


def unite(batches: Sequence[Batch]) -> Batch:
    """Make one of several; tombstones stay behind all rows."""
    if len(batches) == 1:
        return batches[0]
    lineages = list(chain.from_iterable(batch.lineages for batch in batches))
    lineages.sort(key=lambda lineage: lineage.is_deleted)
    return Batch(
        lineages,
        list(chain.from_iterable(batch.events for batch in batches)),
        list(chain.from_iterable(batch.dead_letters for batch in batches)),
        list(chain.from_iterable(batch.ledger for batch in batches)),
        list(chain.from_iterable(batch.packed for batch in batches)),
    )


def _names_of(keys: Sequence[LookupKey]) -> set[str | int]:
    names: set[str | int] = set()
    for key in keys:
        names.update(key.ids)
    return names


def _names(record: EdgeRecord | GatewayRecord) -> tuple[str | int | None, ...]:
    """Give all that a record may be looked for by."""
    if isinstance(record, EdgeRecord):
        return (record.request_id, record.gateway_request_id, record.rec_id)
    return (*record.request_ids, record.gateway_request_id, record.attempt_id)
