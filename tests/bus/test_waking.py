import asyncio
import threading
from collections.abc import Callable

import pytest

from pipeline.bus.waking import Waiter, wake
from pipeline.errors import BusFull


async def test_all_are_woken_though_one_of_them_was_cancelled() -> None:
    waiters = [Waiter() for _ in range(3)]
    waiters[1].future.cancel()
    threading.Thread(target=wake, args=(waiters,)).start()
    async with asyncio.timeout(30):
        await waiters[0].future
        await waiters[2].future
    assert waiters[1].future.cancelled()


async def test_an_error_is_raised_where_it_is_awaited() -> None:
    refused, kept = Waiter(), Waiter()
    refused.error = BusFull("no")
    wake([refused, kept])
    with pytest.raises(BusFull):
        await refused.future
    await kept.future


def test_waiters_of_a_loop_that_has_ended_hold_nobody_up() -> None:
    async def made() -> Waiter:
        return Waiter()

    gone = asyncio.run(made())

    async def woken() -> None:
        waiter = Waiter()
        wake([gone, waiter])
        async with asyncio.timeout(30):
            await waiter.future
        assert waiter.future.done()

    asyncio.run(woken())


async def test_a_loop_is_called_once_for_all_its_waiters(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    calls = []
    call = loop.call_soon_threadsafe

    def counted(callback: Callable[..., object], *told: object) -> asyncio.Handle:
        calls.append(told)
        return call(callback, *told)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    waiters = [Waiter() for _ in range(100)]
    wake(waiters)
    await asyncio.gather(*(waiter.future for waiter in waiters))
    assert len(calls) == 1
