"""Spans of a replay: files are read faster than a receiver takes spans, and nobody waits for the rows.

Back pressure: while the queue is half full, and the receiver takes what is sent, rows wait. One that does not is not
waited for: then spans are dropped and counted as elsewhere once the queue is full.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pipeline.join.settle import Settled
from pipeline.sinks.otlp.opened import SpanExport

_LOOK_S = 0.02


class Unhurried:
    """A `SpanKeeper` that lets the receiver keep up.

    Args:
        export: What sends.
        half_bytes: So much may wait before rows do.
    """

    def __init__(self, export: SpanExport, half_bytes: int) -> None:
        self._export = export
        self._half_bytes = half_bytes

    async def keep(self, closed: Sequence[Settled], shown: Sequence[Settled]) -> None:
        """Wait for the receiver, then make sure of the spans."""
        await self._wait(self._half_bytes)
        await self._export.sink.keep(closed, shown)

    async def finish(self) -> None:
        """Wait until the receiver has all, or takes no more."""
        await self._wait(0)

    async def _wait(self, bytes_left: int) -> None:
        export = self._export
        while export.account().queued_bytes > bytes_left and not export.exporter.progress.trouble:  # noqa: ASYNC110 -- the exporter is a thread, and tells nobody
            await asyncio.sleep(_LOOK_S)
