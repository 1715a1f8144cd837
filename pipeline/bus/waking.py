"""Waking coroutines of any event loop from any thread, with one call per loop.

Each call from outside into a loop gives up the GIL, and a thread that parses holds it for milliseconds:
a group of appends that became durable together is told in one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Waiter:
    """Somebody who awaits something that another thread will do; make it on the awaiting loop."""

    __slots__ = ("error", "future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.error: Exception | None = None
        """Raised where the waiter awaits; set before it is woken."""


def wake(waiters: Iterable[Waiter]) -> None:
    """Let waiters go on, from any thread. One whose loop has ended, or who was cancelled, is passed over."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Waiter]] = {}
    for waiter in waiters:
        by_loop.setdefault(waiter.loop, []).append(waiter)
    for loop, told in by_loop.items():
        try:
            loop.call_soon_threadsafe(_tell, told)
        except RuntimeError:  # the loop is closed: nobody awaits any more
            continue


def _tell(waiters: list[Waiter]) -> None:
    for waiter in waiters:
        if waiter.future.done():
            continue
        if waiter.error is None:
            waiter.future.set_result(None)
        else:
            waiter.future.set_exception(waiter.error)
