import asyncio
from collections.abc import Callable

import pytest

from pipeline.bus.memory import MemoryBus
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

Line = Callable[..., Delivery]


async def test_an_append_at_the_cap_waits_until_something_is_read(line: Line) -> None:
    bus = MemoryBus(1000)
    await bus.append(line(b"x" * 900))
    waiting = asyncio.create_task(bus.append(line(b"y" * 900)))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert bus.end == bus.committed + 1
    assert [each.bodies for each in await bus.read(10, 0.0)] == [[b"x" * 900]]
    await waiting
    assert [each.bodies for each in await bus.read(10, 0.0)] == [[b"y" * 900]]


async def test_waiting_appends_are_let_in_in_their_order(line: Line) -> None:
    bus = MemoryBus(1000)
    tasks = [asyncio.create_task(bus.append(line(b"%d" % number + b"x" * 800))) for number in range(5)]
    await asyncio.sleep(0)
    late = asyncio.create_task(bus.append(line(b"late")))
    got: list[bytes] = []
    while len(got) < 6:
        got += [body[:4] for each in await bus.read(10, 5.0) for body in each.bodies]
    assert got == [b"0xxx", b"1xxx", b"2xxx", b"3xxx", b"4xxx", b"late"]
    await asyncio.gather(late, *tasks)


async def test_a_cancelled_append_keeps_nothing_and_does_not_hold_the_next_one_up(line: Line) -> None:
    bus = MemoryBus(1000)
    await bus.append(line(b"x" * 900))
    cancelled = asyncio.create_task(bus.append(line(b"never" * 100)))
    after = asyncio.create_task(bus.append(line(b"after")))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await bus.read(10, 0.0)
    await after
    assert [each.bodies for each in await bus.read(10, 0.0)] == [[b"after"]]
    assert bus.account().pending[Source.HAPROXY] == 2


async def test_one_delivery_larger_than_the_cap_passes_alone(line: Line) -> None:
    bus = MemoryBus(1000)
    await bus.append(line(b"x" * 5000))
    waiting = asyncio.create_task(bus.append(line(b"y" * 5000)))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(await bus.read(10, 0.0)) == 1
    await waiting
    assert len(await bus.read(10, 0.0)) == 1


async def test_memory_is_free_once_read_though_nothing_is_committed(line: Line) -> None:
    bus = MemoryBus(1000)
    for _ in range(50):
        async with asyncio.timeout(5):
            await bus.append(line(b"x" * 900))
        assert len(await bus.read(10, 0.0)) == 1
    assert bus.account().pending[Source.HAPROXY] == 50
    assert bus.fill == 0.0


async def test_appends_without_waiting_never_overtake_those_that_wait(line: Line) -> None:
    bus = MemoryBus(1000)
    await bus.append(line(b"x" * 900))
    waiting = asyncio.create_task(bus.append(line(b"y" * 900)))
    await asyncio.sleep(0)
    bus.append_nowait(line(b"z"))
    assert bus.account().outcomes == {Outcome(Source.HAPROXY, OutcomeKind.DROPPED, "bus_full"): 1}
    await bus.read(10, 0.0)
    await waiting
