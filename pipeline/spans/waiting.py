"""PURE: the words for spans that wait to be sent and for what became of the others, whatever keeps them.

A queue has two ends: the engine's, which puts frames in before the rows are written, and that of the thread which
sends. `received = sent + dropped + queued` holds at every moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from pipeline.spans.frames import Frame

SENT, DROPPED = "sent", "dropped"
QUEUE_FULL, DISK_ERROR, INTERNAL_ERROR = "queue_full", "disk_error", "internal_error"
BROKER_ERROR, TOO_LARGE, TOO_OLD = "broker_error", "too_large", "too_old"

Fate = tuple[str, str]
"""Kind (`sent`, `dropped`) and reason."""


class SpanAccount(NamedTuple):
    """Where every span is that was ever put in: `received = sum(fates) + queued`."""

    fates: Mapping[Fate, int]
    queued: int
    queued_bytes: int

    @property
    def received(self) -> int:
        """How many came."""
        return self.queued + sum(self.fates.values())

    def numbers(self) -> Iterator[tuple[str, str, int]]:
        """Give kind, reason and number as the ledger writes them: `made = sent + dropped + queued`."""
        yield "made", "", self.received
        yield "queued", "", self.queued
        for (kind, reason), spans in self.fates.items():
            yield kind, reason, spans


class Stored(NamedTuple):
    """The frame whose turn it is."""

    number: int
    """Names it to the queue that gave it."""
    frame: Frame


class SpanInlet(Protocol):
    """The engine's end of a queue. It never waits for a receiver."""

    why_full: str
    """The reason that spans are dropped for where there is no room."""
    most_bytes: int
    """Bytes of spans that a frame should hold at most."""

    @property
    def room(self) -> int:
        """Bytes that may be put in now."""
        ...

    async def put(self, frames: Sequence[Frame]) -> bool:
        """Keep frames; on return they survive a kill, or are counted as dropped. Says whether all are kept."""
        ...

    async def drop(self, reason: str, spans: int) -> None:
        """Count spans that never got in."""
        ...


class SpanOutlet(Protocol):
    """The other end, used by one thread that sends."""

    def first(self, wait_s: float) -> Stored | None:
        """Give what is next, waiting for it; None where nothing came. Called again after a failure it may give more.

        Raises:
            RetryableError: It cannot be read now.
        """
        ...

    def done(self, stored: Stored, fates: Mapping[Fate, int]) -> None:
        """Let a frame leave, and count what became of its spans, which sum to the frame's.

        Raises:
            RetryableError: It is still there, and may be sent again.
        """
        ...

    def end_waiting(self) -> None:
        """Let `first` wait no more."""
        ...
