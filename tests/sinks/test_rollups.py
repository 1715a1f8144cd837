"""Which minutes are counted, and when; and that a kill forgets none."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import pytest

from pipeline.clock import ManualClock
from pipeline.contracts import Batch
from pipeline.errors import StoreUnavailable
from pipeline.model import Lineage
from pipeline.sinks.clickhouse import ClickHouseSink, open_sink
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.rollups import marked

Make = Callable[..., Lineage]
T0_S = 1_795_460_243
MINUTE = T0_S // 60


class Face(Protocol):
    """`conftest.Face`."""

    def fail(self, **counts: int) -> None: ...

    def fresh(self) -> str: ...


class Opened:
    """A sink, its clock, and a look at what it has counted."""

    def __init__(self, sink: ClickHouseSink, clock: ManualClock, dsn: str) -> None:
        self.sink = sink
        self._clock = clock
        self._reader = connect(parse_dsn(dsn, {}))

    def turn_to(self, second: float) -> None:
        self._clock.turn_to(int((T0_S + second) * 1e9))

    async def write(self, *rows: Lineage) -> None:
        assert not await self.sink.write(Batch(rows, (), ()))

    def counted(self) -> int:
        return int(str(self._reader.client.command("SELECT sum(requests) FROM lineage_minutes")))

    def marked(self) -> dict[int, set[int]]:
        return marked(self._reader)

    def close(self) -> None:
        self._reader.close()


@asynccontextmanager
async def opened(dsn: str, second: float = 0) -> AsyncIterator[Opened]:
    clock = ManualClock(int((T0_S + second) * 1e9))
    async with open_sink(dsn, clock) as sink:
        found = Opened(sink, clock, dsn)
        try:
            yield found
        finally:
            found.close()


async def test_a_minute_is_counted_once_it_is_over_and_nothing_more_came(face: Face, lineage: Make) -> None:
    async with opened(face.fresh()) as store:
        await store.write(lineage(1), lineage(2))
        assert await store.sink.count_minutes() == 0, "it was not over"
        store.turn_to(60)
        await store.write(lineage(3))
        assert await store.sink.count_minutes() == 0, "something had just come"
        store.turn_to(91)
        assert await store.sink.count_minutes() == 1
        assert store.counted() == 3
        assert await store.sink.count_minutes() == 0, "it was counted again for nothing"
        assert store.marked() == {}


async def test_a_minute_is_not_counted_while_rows_of_it_are_being_written(face: Face, lineage: Make) -> None:
    async with opened(face.fresh(), second=100) as store:
        await store.write(lineage(1))
        rollups = store.sink._rollups
        with rollups.writing(store._reader, {MINUTE}):
            assert await rollups.count(at_once=True) == 0
        assert await rollups.count(at_once=True) == 1


async def test_a_late_half_has_its_minute_counted_again(face: Face, lineage: Make) -> None:
    async with opened(face.fresh(), second=100) as store:
        await store.write(lineage(1))
        store.turn_to(200)
        assert await store.sink.count_minutes() == 1
        await store.write(lineage(2))
        assert list(store.marked()) == [MINUTE]
        store.turn_to(300)
        assert await store.sink.count_minutes() == 1
        assert store.counted() == 2


async def test_a_minute_that_never_comes_to_rest_is_counted_all_the_same(face: Face, lineage: Make) -> None:
    async with opened(face.fresh(), second=100) as store:
        for number in range(32):
            store.turn_to(100 + 20 * number)
            await store.write(lineage(number))
        assert await store.sink.count_minutes() == 1
        assert store.counted() == 32


async def test_the_end_of_a_replay_counts_all_that_is_over(face: Face, lineage: Make) -> None:
    async with opened(face.fresh(), second=100) as store:
        await store.write(lineage(1), lineage(2, start_s=T0_S - 86_400), lineage(3, start_s=T0_S + 86_400))
        assert await store.sink.count_minutes(at_once=True) == 2
        assert store.counted() == 2


async def test_whoever_opens_the_store_after_a_kill_counts_what_was_marked(face: Face, lineage: Make) -> None:
    dsn = face.fresh()
    async with opened(dsn, second=100) as store:
        await store.write(lineage(1), lineage(2, start_s=T0_S - 600))
        assert len(store.marked()) == 2
    async with opened(dsn, second=200) as store:
        assert await store.sink.count_minutes() == 2
        assert store.counted() == 2
        assert store.marked() == {}


async def test_minutes_that_could_not_be_counted_stay_due(face: Face, lineage: Make) -> None:
    async with opened(face.fresh(), second=100) as store:
        await store.write(lineage(1))
        assert await store.sink.count_minutes() == 0  # its connection is open now
        store.turn_to(200)
        face.fail(refuse=1000)
        with pytest.raises(StoreUnavailable):
            await store.sink.count_minutes()
        face.fail()
        assert await store.sink.count_minutes() == 1
        assert store.counted() == 1


async def test_a_minute_that_can_never_be_counted_holds_up_no_other(face: Face, lineage: Make) -> None:
    dsn = face.fresh()
    poisoned = T0_S - 60 * 7
    async with opened(dsn, second=100) as store:
        reader = connect(parse_dsn(dsn, {}))
        reader.client.command(
            "ALTER TABLE lineage_minute_versions "
            f"ADD CONSTRAINT poisoned CHECK toUnixTimestamp(minute) != {poisoned // 60 * 60}"
        )
        reader.close()
        await store.write(*(lineage(number, start_s=T0_S - 60 * number) for number in range(20)))
        store.turn_to(200)
        for _ in range(12):
            with suppress(StoreUnavailable):
                await store.sink.count_minutes()
        assert store.counted() == 19
        assert list(store.marked()) == [poisoned // 60]


async def test_many_batches_of_one_minute_mark_it_once(face: Face, lineage: Make) -> None:
    dsn = face.fresh()
    async with opened(dsn) as store:
        for number in range(5):
            await store.write(lineage(number))
        reader = connect(parse_dsn(dsn, {}))
        assert reader.client.command("SELECT count() FROM lineage_minute_marks") == 1
        reader.close()


async def test_a_minute_that_two_write_to_is_counted_by_the_one_whose_it_is(
    face: Face, lineage: Make
) -> None:
    """Rows of the other that came after the count have it counted again, and in the end no mark is left."""
    dsn = face.fresh()
    async with opened(dsn) as owner, opened(dsn) as other:
        await owner.write(lineage(1))
        await other.write(lineage(2))
        for store in (owner, other):
            store.turn_to(130)
        assert await other.sink.count_shared_minutes(lambda _: False) == 0
        assert await owner.sink.count_shared_minutes(lambda _: True) == 1
        assert owner.counted() == 2
        assert await owner.sink.count_shared_minutes(lambda _: True) == 0, "it was counted again for nothing"
        await other.write(lineage(3))
        owner.turn_to(191)
        assert await owner.sink.count_shared_minutes(lambda _: True) == 1
        assert owner.counted() == 3
        owner.turn_to(2000)
        assert await owner.sink.count_shared_minutes(lambda _: True) == 1
        assert owner.marked() == {}


async def test_the_minutes_of_a_writer_that_was_killed_are_counted_by_those_who_live(
    face: Face, lineage: Make
) -> None:
    dsn = face.fresh()
    async with opened(dsn) as lives:
        async with opened(dsn) as killed:
            await killed.write(lineage(1))
        lives.turn_to(130)
        assert await lives.sink.count_shared_minutes(lambda _: True) == 1
        assert lives.counted() == 1


async def test_who_finds_a_minute_marked_by_another_marks_it_as_well(face: Face, lineage: Make) -> None:
    """The other's mark may be taken away while this one still writes."""
    dsn = face.fresh()
    async with opened(dsn) as first:
        await first.write(lineage(1))
        async with opened(dsn) as second:
            await second.write(lineage(2))
            assert [len(writers) for writers in second.marked().values()] == [2]
