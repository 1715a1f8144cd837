"""What a journal holds, shared by its threads: books, segments, and what the reader has not taken yet.

Every method takes the one lock and holds it for microseconds: no I/O, no waiting under it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.bus.books import Books
from pipeline.bus.segments import Segment, Segments
from pipeline.bus.unread import Unread, size_in_memory
from pipeline.bus.waking import Waiter
from pipeline.contracts import Account
from pipeline.model import Delivery, Outcome, Source

_REFUSING_S = 5.0
"""How long after a refusal the journal calls itself full, whatever it holds: the disk may be."""


class Place(NamedTuple):
    """Where the reader stands, when it must read the disk."""

    offset: int
    stop: int
    """Read no further: the segment, or what is durable of it, ends here."""
    segment: Segment | None
    """None where no file has these records any more."""


class Contents:
    """The shared state of a journal.

    Memory keeps what was appended last, so that a reader who keeps up never reads the disk. Where it does not
    keep up, memory is filled up to its cap, then left to be emptied; the disk is read from there until the
    reader has caught up with the end.
    """

    def __init__(self, books: Books, segments: Segments, max_bytes: int, memory_bytes: int) -> None:
        self._lock = threading.Lock()
        self._books = books
        self._segments = segments
        self._max_bytes = max_bytes
        self._memory_bytes = memory_bytes
        self._unread = Unread()
        self._next = books.committed
        """Offset of the record that the reader gets next."""
        self._in_memory_to = books.committed
        """Memory holds everything from `_next` up to here."""
        self._reader: Waiter | None = None
        self._refused_at = float("-inf")

    # the writer's

    def begin(self, segment: Segment) -> None:
        """Write to a new segment from now on."""
        with self._lock:
            self._segments.add(segment)
            self._segments.retire(self._books.committed)

    def leave(self) -> None:
        """Write no more to the last segment."""
        with self._lock:
            if self._segments.last is not None:
                self._segments.last.is_open = False
                self._segments.retire(self._books.committed)

    def keep(self, deliveries: Sequence[Delivery], size: int) -> list[Waiter]:
        """Take in deliveries that have become durable, `size` bytes on disk; gives the reader to wake."""
        with self._lock:
            for delivery in deliveries:
                count = len(delivery.bodies)
                if self._in_memory_to == self._books.end and self._unread.bytes < self._memory_bytes:
                    self._unread.push(delivery, size_in_memory(delivery))
                    self._in_memory_to += count
                self._books.receive(delivery.source, count)
            self._segments.grow(size, self._books.end)
            self._refused_at = float("-inf")
            reader, self._reader = self._reader, None
        return [reader] if reader is not None else []

    def refuse(self) -> None:
        """Remember that something was refused for want of space."""
        self._refused_at = time.monotonic()

    @property
    def used(self) -> int:
        """Bytes of the segments that hold something uncommitted."""
        with self._lock:
            last = self._segments.last
            spent = last.size if last is not None and self._books.committed == self._books.end else 0
            return self._segments.bytes - spent

    # the keeper's

    def prepare(
        self, offset: int | None, outcomes: Mapping[Outcome, int]
    ) -> tuple[int, Mapping[Outcome, int]]:
        """Give committed offset and outcomes as they are to be saved; `offset` None saves drops alone.

        Raises:
            ValueError: The outcomes do not add up.
        """
        with self._lock:
            if offset is None:
                return self._books.committed, self._books.outcomes.copy()
            self._books.check(offset, outcomes)
            after = self._books.outcomes.copy()
            after.update(outcomes)
            return offset, after

    def commit(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        """Let records leave, once that has been saved."""
        with self._lock:
            self._books.commit(offset, outcomes)
            self._segments.retire(offset)

    def retired(self) -> list[Segment]:
        """Hand over the segments whose files may go, each once."""
        with self._lock:
            retired, self._segments.retired = self._segments.retired, []
            return retired

    # the reader's

    def take(self, limit: int) -> list[Delivery]:
        """Hand out what comes next, if memory holds it."""
        with self._lock:
            self._reader = None
            deliveries = self._unread.take(limit, self._books.committed)
            if deliveries:
                last = deliveries[-1]
                self._next = last.offset + len(last.bodies)
            self._skip_committed()
            return deliveries

    def place(self) -> Place | None:
        """Tell where on disk the reader goes on; None where nothing is left to read, or memory holds it."""
        with self._lock:
            self._skip_committed()
            if self._unread or self._next >= self._books.end:
                return None
            segment, following = self._segments.around(self._next)
            stop = self._books.end if following is None else min(following, self._books.end)
            if segment is not None and self._next < segment.end:
                return Place(self._next, min(stop, segment.end), segment)
            return Place(self._next, stop, None)

    def advance(self, offset: int) -> None:
        """Say that the reader has read the disk up to an offset."""
        with self._lock:
            self._next = self._in_memory_to = offset

    def owners(self, place: Place) -> list[tuple[Source, int]]:
        """Tell whose the records are that cannot be read any more."""
        with self._lock:
            start = max(place.offset, self._books.committed)
            return list(self._books.runs(start, max(start, place.stop)))

    def wait(self, waiter: Waiter) -> bool:
        """Have a reader woken by the next `keep`; False where there is something to read already."""
        with self._lock:
            if self._next < self._books.end:
                return False
            self._reader = waiter
            return True

    # anybody's

    def drop(self, source: Source, reason: str, count: int) -> None:
        """Count records that never got an offset."""
        with self._lock:
            self._books.drop(source, reason, count)

    def account(self) -> Account:
        """Give a copy of the account."""
        with self._lock:
            return self._books.account()

    def accounts(self) -> dict[str, Account]:
        """Give a copy of the account, under the name of the bus."""
        with self._lock:
            return self._books.accounts()

    @property
    def committed(self) -> int:
        """The offset that a restart would begin at."""
        return self._books.committed

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        return self._books.end

    @property
    def fill(self) -> float:
        """Share of the cap in use; 1.0 for some seconds after a refusal."""
        if time.monotonic() - self._refused_at < _REFUSING_S:
            return 1.0
        return min(1.0, self.used / self._max_bytes)

    def _skip_committed(self) -> None:
        """Go on at the committed offset where somebody committed what was never read."""
        self._next = max(self._next, self._books.committed)
        if not self._unread:
            self._in_memory_to = self._next
