"""How many queries run and wait at once. PURE but for waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipeline.web.door_accounts import Caller
from pipeline.web.door_refusal import busy


class Slots:
    """Turns, given in the order in which they were asked for.

    Args:
        most: Queries at once.
        waiting: Queries that may wait; further ones are refused.
        wait_s: Seconds that one may wait.
    """

    def __init__(self, most: int, waiting: int, wait_s: float) -> None:
        self._all = asyncio.Semaphore(most)
        self._own: dict[str, asyncio.Semaphore] = {}
        self._room = waiting
        self._wait_s = wait_s

    async def take(self, caller: Caller) -> Callable[[], None]:
        """Wait for a turn; gives what ends it, to be called once, on the same loop.

        Raises:
            DoorRefusal: Too many wait already, or the turn did not come in time.
        """
        own = self._own.setdefault(caller.name, asyncio.Semaphore(caller.max_concurrent))
        if self._room <= 0 and (own.locked() or self._all.locked()):
            raise busy("Too many simultaneous queries, and too many that wait")
        self._room -= 1
        try:
            async with asyncio.timeout(self._wait_s):
                await own.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    own.release()
                    raise
        except TimeoutError:
            raise busy(f"Too many simultaneous queries; no turn came within {self._wait_s:g} s") from None
        finally:
            self._room += 1

        def end() -> None:
            self._all.release()
            own.release()

        return end
