"""I/O: the engines of the partitions that are ours: run, and brought to an end in time or stopped where they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.bus.kafka.partition import PartitionBus

_log = logging.getLogger(__name__)

_TOUCH_S = 0.5


class Runs(Protocol):
    """What reads a partition: an engine."""

    def drain(self, *, flush: bool) -> None:
        """Ask for an end."""
        ...

    async def run(self) -> None:
        """Move data until drained."""
        ...


@dataclass(eq=False)
class Unit:
    """A partition that is ours."""

    bus: PartitionBus
    engine: Runs
    task: asyncio.Task[None]


MakeEngine = Callable[[PartitionBus, int], Runs]
"""Makes the engine of a partition; told how many partitions this process has."""


def start_unit(bus: PartitionBus, engine: Runs, group: asyncio.TaskGroup) -> Unit:
    """Set an engine to work on a partition."""
    return Unit(bus, engine, group.create_task(_run(engine, bus), name=f"partition-{bus.number}"))


async def _run(engine: Runs, bus: PartitionBus) -> None:
    """Run an engine; what stops it on a partition that has gone is no failure."""
    try:
        await engine.run()
    except Exception:
        if not bus.is_lost:
            raise
        _log.info("partition %d: forgot what was not committed", bus.number)


async def end_units(units: Sequence[Unit], within_s: float, keep_touch: Callable[[], None]) -> None:
    """Let engines finish what they are about, then stop them.

    Args:
        units: All of them end.
        within_s: Seconds that they have.
        keep_touch: Called again and again meanwhile: we are waiting, and do not stand still.
    """
    for unit in units:
        unit.bus.close()
        unit.engine.drain(flush=False)
        if unit.bus.is_lost:
            unit.task.cancel()
    tasks = [unit.task for unit in units]
    if not tasks:
        return
    slow = await _wait(tasks, within_s, keep_touch)
    for unit in units:
        if unit.task in slow:
            unit.bus.lose("it did not finish in time")
            unit.task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(
    tasks: list[asyncio.Task[None]], within_s: float, keep_touch: Callable[[], None]
) -> set[asyncio.Task[None]]:
    """Wait for engines; gives those that are not done."""
    loop, slow = asyncio.get_running_loop(), set(tasks)
    deadline = loop.time() + within_s
    while slow and (left_s := deadline - loop.time()) > 0:
        _, slow = await asyncio.wait(slow, timeout=min(left_s, _TOUCH_S))
        keep_touch()
    return slow
