"""Turns come in order, are never lost, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.web.door_accounts import Caller
from pipeline.web.door_refusal import DoorRefusal
from pipeline.web.door_settings import Limits
from pipeline.web.door_slots import Slots

ANY = Limits(1, 1, 1.0, 1, 1)


def caller(name: str = "a", most: int = 9) -> Caller:
    return Caller(name, ANY, most)


async def test_a_turn_that_ends_is_the_next_ones() -> None:
    slots = Slots(most=1, waiting=5, wait_s=5.0)
    end = await slots.take(caller())
    order: list[int] = []

    async def wait(number: int) -> None:
        mine = await slots.take(caller())
        order.append(number)
        mine()

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await asyncio.sleep(0)
    end()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]


async def test_one_account_cannot_take_the_turns_of_another() -> None:
    slots = Slots(most=3, waiting=5, wait_s=0.05)
    for _ in range(2):
        await slots.take(caller("greedy", most=2))
    with pytest.raises(DoorRefusal, match="no turn came"):
        await slots.take(caller("greedy", most=2))
    (await slots.take(caller("other")))()


async def test_who_gave_up_waiting_holds_no_turn() -> None:
    slots = Slots(most=1, waiting=2, wait_s=0.05)
    end = await slots.take(caller())
    for _ in range(3):
        with pytest.raises(DoorRefusal) as refused:
            await slots.take(caller())
        assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    cancelled = asyncio.create_task(slots.take(caller()))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    end()
    (await slots.take(caller()))()


async def test_only_so_many_wait() -> None:
    slots = Slots(most=1, waiting=1, wait_s=5.0)
    end = await slots.take(caller())
    second = asyncio.create_task(slots.take(caller()))
    await asyncio.sleep(0)
    with pytest.raises(DoorRefusal, match="too many that wait"):
        await slots.take(caller())
    end()
    (await second)()


async def test_none_need_wait_where_there_is_room_though_none_may() -> None:
    slots = Slots(most=2, waiting=0, wait_s=5.0)
    first, second = await slots.take(caller()), await slots.take(caller())
    with pytest.raises(DoorRefusal):
        await slots.take(caller())
    first()
    second()
