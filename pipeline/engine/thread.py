"""Runs an engine on a thread and loop of its own, so that parsing never delays an answer to Kong."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from pipeline.errors import PipelineError
from pipeline.interpreter import stand_back

_log = logging.getLogger(__name__)

_STEPS_BACK = 5
"""Before the store's threads (10), which it waits for; behind those that receive and answer."""


class Runs(Protocol):
    """What such a thread runs: an engine, or a group of them."""

    def drain(self, *, flush: bool) -> None:
        """Ask for an end; called on its own loop."""
        ...

    async def run(self) -> None:
        """Move data until drained."""
        ...


_Engine = TypeVar("_Engine", bound=Runs)


class EngineThread(Generic[_Engine]):
    """An engine between `async with` and its end.

    Args:
        make: Makes the engine; called on its thread, since its queues belong to that thread's loop.
        drain_s: Seconds that leaving may take; what is not written then stays on the bus.
        on_failure: Called from the engine's thread when a stage fails for good.
    """

    def __init__(
        self, make: Callable[[], _Engine], *, drain_s: float, on_failure: Callable[[], None]
    ) -> None:
        self._make = make
        self._drain_s = drain_s
        self._on_failure = on_failure
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self.engine: _Engine | None = None
        self.failure: BaseException | None = None

    async def __aenter__(self) -> Self:
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.finish(flush=False)

    async def finish(self, *, flush: bool, deadline_s: float | None = None) -> None:
        """Read the bus empty, write, commit, and end; safe to call twice.

        Args:
            flush: Also close the windows of what still waits.
            deadline_s: Seconds to wait, `drain_s` unless told; then the engine is stopped where it is.
        """
        loop, task, engine = self._loop, self._task, self.engine
        if loop is None or task is None or engine is None or not self._thread.is_alive():
            return
        self._post(loop, lambda: engine.drain(flush=flush))
        await asyncio.to_thread(self._thread.join, self._drain_s if deadline_s is None else deadline_s)
        if self._thread.is_alive():
            _log.warning("the engine did not finish in time; the rest stays on the bus")
            self._post(loop, task.cancel)
            await asyncio.to_thread(self._thread.join, 5.0)

    @staticmethod
    def _post(loop: asyncio.AbstractEventLoop, act: Callable[[], object]) -> None:
        try:
            loop.call_soon_threadsafe(act)
        except RuntimeError:
            _log.debug("the engine's loop had already ended")

    def _run(self) -> None:
        stand_back(_STEPS_BACK)
        try:
            asyncio.run(self._live())
        except asyncio.CancelledError:
            pass
        except PipelineError as error:
            _log.error("the engine failed: %s", error)
            self.failure = error
            self._on_failure()
        except BaseException as error:  # noqa: BLE001 -- whatever ends this thread, the process must know
            _log.exception("the engine failed")
            self.failure = error
            self._on_failure()
        finally:
            self._ready.set()

    async def _live(self) -> None:
        self.engine = self._make()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._ready.set()
        await self.engine.run()
