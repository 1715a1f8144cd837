"""Work beside the two stages, done again and again: what may fail now and be done later."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from pipeline.errors import StoreUnavailable

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def every(interval_s: float, act: Callable[[], Awaitable[object]], name: str) -> AsyncIterator[None]:
    """Do something every so many seconds while the block runs; a store that is away is asked again next time.

    Args:
        interval_s: Seconds between the end of one turn and the start of the next.
        act: One turn.
        name: What it is, for the log.
    """
    task = asyncio.create_task(_repeat(interval_s, act, name), name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _repeat(interval_s: float, act: Callable[[], Awaitable[object]], name: str) -> None:
    while True:
        await asyncio.sleep(interval_s)
        try:
            await act()
        except StoreUnavailable as error:
            _log.warning("%s: put off, the store did not answer: %s", name, error)
        except Exception as error:  # noqa: BLE001 -- work beside the stages may not end with one fault, unseen
            _log.error("%s failed, tried again in %.0f s: %s", name, interval_s, type(error).__name__)
