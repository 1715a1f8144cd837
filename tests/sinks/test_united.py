"""One store for several engines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pipeline.contracts import Batch
from pipeline.errors import StoreUnavailable
from pipeline.model import DeadLetter, Source
from pipeline.sinks.memory import MemoryStore
from pipeline.sinks.united import UnitedStore


def letter(offset: int) -> DeadLetter:
    return DeadLetter(
        offset=offset, source=Source.KONG, arrival_ns=1, peer="", reason="not_json", detail="", body="", fingerprint="",
        size=0,
    )  # fmt: skip


class Gate(MemoryStore):
    """A store that waits for a word before each write, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.sizes: list[int] = []
        self.is_away = False
        self.shuts = False

    async def write(self, batch: Batch) -> Sequence[DeadLetter]:
        await self.open.wait()
        if self.shuts:
            self.open.clear()
        self.sizes.append(len(batch.dead_letters))
        if self.is_away:
            raise StoreUnavailable("away")
        return await super().write(batch)


def batch(*offsets: int) -> Batch:
    return Batch((), (), [letter(offset) for offset in offsets])


async def test_batches_that_wait_for_one_write_go_together_with_the_next() -> None:
    gate = Gate()
    store = UnitedStore(gate, 1000)
    async with asyncio.TaskGroup() as engines, asyncio.timeout(10):
        for offset in range(5):
            engines.create_task(store.write(batch(offset)))
        for _ in range(10):
            await asyncio.sleep(0)
        gate.open.set()
    assert gate.sizes in ([1, 4], [5])
    assert sorted(dead.offset for dead in gate.dead_letters) == [0, 1, 2, 3, 4]


async def test_all_of_a_write_that_failed_are_told_so_and_none_is_kept() -> None:
    gate = Gate()
    gate.is_away = True
    gate.open.set()
    store = UnitedStore(gate, 1000)
    results = await asyncio.gather(
        *(store.write(batch(offset)) for offset in range(4)), return_exceptions=True
    )
    assert all(isinstance(result, StoreUnavailable) for result in results)
    gate.is_away = False
    await asyncio.gather(*(store.write(batch(offset)) for offset in range(4)))
    assert len(gate.dead_letters) == 4


async def test_an_engine_that_is_stopped_while_it_waits_takes_its_batch_along() -> None:
    gate = Gate()
    store = UnitedStore(gate, 1000)
    first = asyncio.create_task(store.write(batch(1)))
    await asyncio.sleep(0)
    second = asyncio.create_task(store.write(batch(2)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    gate.open.set()
    async with asyncio.timeout(10):
        await first
        await store.write(batch(3))
    assert len(gate.dead_letters) == 2


async def test_an_engine_that_is_stopped_while_it_writes_for_others_leaves_them_to_write_again() -> None:
    gate = Gate()
    gate.shuts = True
    store = UnitedStore(gate, 1000)
    earlier = asyncio.create_task(store.write(batch(0)))
    await asyncio.sleep(0)
    first = asyncio.create_task(store.write(batch(1)))
    second = asyncio.create_task(store.write(batch(2)))
    await asyncio.sleep(0)
    gate.open.set()
    await earlier
    for _ in range(5):
        await asyncio.sleep(0)  # the first writes for both now
    gate.shuts = False
    first.cancel()
    await asyncio.wait([first])
    gate.open.set()
    async with asyncio.timeout(10):
        with pytest.raises(StoreUnavailable):
            await second
        await store.write(batch(2))
    assert [dead.offset for dead in gate.dead_letters] == [0, 2]


@pytest.mark.parametrize("most", [1, 2])
async def test_tombstones_stay_behind_all_rows_and_nothing_is_lost_with_a_small_limit(most: int) -> None:
    gate = Gate()
    gate.open.set()
    store = UnitedStore(gate, most)
    await asyncio.gather(*(store.write(batch(offset)) for offset in range(7)))
    assert len(gate.dead_letters) == 7
