"""A blocking client on one thread of its own, behind `async def`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipeline.interpreter import stand_back

_STEPS_BACK = 10
"""The engine of the store, whose threads are started from here, works in large batches: nobody waits for it."""
_T = TypeVar("_T")


class OneThread:
    """Runs what blocks, one call after another, for any event loop."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix=name, initializer=stand_back, initargs=(_STEPS_BACK,)
        )

    async def run(self, act: Callable[[], _T]) -> _T:
        """Run a call on the thread. Cancelling the wait does not stop the call; the next one waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, act)

    async def close(self, last: Callable[[], object]) -> None:
        """Run one more call, then end the thread."""
        try:
            await self.run(last)
        finally:
            self._pool.shutdown(wait=False)
