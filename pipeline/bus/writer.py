"""The thread that writes a journal's log: one write and one sync for all that has come meanwhile.

Appends meet it in a queue. While one group is being synced the next gathers, so the busier the journal, the
more deliveries share a sync. A delivery that may not wait is queued within a bound of bytes.

Delivery: whoever awaits is woken after the sync. What cannot be written (the cap, a full or failing disk) is
refused: the awaiting get `BusFull`, the others are counted as dropped; the log goes on in a new segment.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple

from pipeline.bus.contents import Contents
from pipeline.bus.frames import encode, frame_bytes
from pipeline.bus.segments import OpenSegment
from pipeline.bus.unread import placed
from pipeline.bus.waking import Waiter, wake
from pipeline.errors import BusFull
from pipeline.model import Delivery, Source

_log = logging.getLogger(__name__)

_GROUP_BYTES = 8 * 2**20
"""Most bytes of one sync; a larger delivery is a group of its own."""
_STEP_BYTES = 8 * 2**20
"""Space is allocated ahead in such steps."""
_SPENT_SHARE = 4
"""A segment of which all is committed is left when a quarter of its size is used."""


class _Given(NamedTuple):
    delivery: Delivery
    size: int
    """Bytes that it will take on disk, at most."""
    waiter: Waiter | None
    """None where nobody waits."""


class WriterLimits(NamedTuple):
    """How much may lie where, in bytes."""

    disk: int
    segment: int
    queue: int
    """Of deliveries that nobody waits for."""


class Writer:
    """Appends to the log.

    Args:
        contents: What the journal holds; told of what has become durable.
        directory: Where the segments go.
        limits: Caps.
        key: Encrypts what is written, where given.
        drop: Counts records that were refused.
        on_segment: Called when a segment was left, so that it may go once it is committed.
    """

    def __init__(
        self,
        contents: Contents,
        directory: Path,
        limits: WriterLimits,
        key: bytes | None,
        *,
        drop: Callable[[Source, str, int], None],
        on_segment: Callable[[], None],
    ) -> None:
        self.syncs = 0
        self._contents = contents
        self._directory = directory
        self._limits = limits
        self._key = key
        self._drop = drop
        self._on_segment = on_segment
        self._queue: SimpleQueue[_Given | None] = SimpleQueue()
        self._queued = 0
        self._lock = threading.Lock()
        self._ended = False
        self._refusing = False
        self._segment: OpenSegment | None = None
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def give(self, delivery: Delivery, waiter: Waiter | None) -> None:
        """Queue a delivery; never blocks.

        Raises:
            BusFull: Nobody waits for it and the queue is at its bound, or the journal is closed.
        """
        size = frame_bytes(delivery, sealed=self._key is not None)
        with self._lock:
            if self._ended:
                raise BusFull("the journal is closed")
            if waiter is None:
                if self._queued + size > self._limits.queue:
                    raise BusFull("the disk does not keep up")
                self._queued += size
            self._queue.put(_Given(delivery, size, waiter))

    def stop(self) -> None:
        """Write what is queued, and end; safe to call twice."""
        with self._lock:
            if not self._ended:
                self._ended = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (group := self._gather()) is not None:
            try:
                self._write(group)
            except Exception:  # noqa: BLE001 -- whoever waits must be told, whatever it was
                _log.exception("the journal could not write a group of %d deliveries", len(group))
                self._leave_segment()
                self._refuse(group, "the journal failed")
        self._leave_segment()

    def _gather(self) -> list[_Given] | None:
        """Wait for a delivery, and take what else has come; None at the end."""
        given = self._queue.get()
        if given is None:
            return None
        group, total = [given], given.size
        most = min(_GROUP_BYTES, self._limits.segment)
        while total < most:
            try:
                given = self._queue.get_nowait()
            except Empty:
                break
            if given is None:
                self._queue.put(None)
                break
            group.append(given)
            total += given.size
        with self._lock:
            self._queued -= sum(given.size for given in group if given.waiter is None)
        return group

    def _write(self, group: list[_Given]) -> None:
        try:
            segment = self._ready_segment(sum(given.size for given in group))
        except OSError as error:
            self._report(f"no segment can be begun: {error.strerror}")
            self._refuse(group, "no space is left on the disk")
            return
        fitting, refused = self._fit(group)
        buffers: list[bytes] = []
        deliveries, offset = [], self._contents.end
        for given in fitting:
            buffers += encode(given.delivery, offset, segment.number, segment.cipher)
            segment.number += 1
            deliveries.append(placed(given.delivery, offset))
            offset += len(given.delivery.bodies)
        before = segment.size
        if fitting and not self._try_write(segment, buffers):
            self._refuse(group, "no space is left on the disk")
            return
        if fitting:
            self.syncs += 1
            told = self._contents.keep(deliveries, segment.size - before)
            wake([given.waiter for given in fitting if given.waiter is not None])
            wake(told)
        self._refuse(refused, "the bus is at its cap")
        if not refused and self._refusing:
            self._refusing = False
            _log.warning("the journal accepts records again")

    def _try_write(self, segment: OpenSegment, buffers: list[bytes]) -> bool:
        try:
            segment.write(buffers)
        except OSError as error:
            self._report(f"the disk does not take more: {error.strerror}")
            self._leave_segment()
            return False
        return True

    def _fit(self, group: list[_Given]) -> tuple[list[_Given], list[_Given]]:
        room = self._limits.disk - self._contents.used
        fitting, refused = [], []
        for given in group:
            if given.size <= room:
                room -= given.size
                fitting.append(given)
            else:
                refused.append(given)
        if refused:
            self._report("it is at its cap")
        return fitting, refused

    def _ready_segment(self, needed: int) -> OpenSegment:
        """Give the segment to write to: the one that is open, or the next."""
        segment, limit = self._segment, self._limits.segment
        is_spent = self._contents.committed == self._contents.end
        if segment is not None:
            is_left = segment.size >= limit or (is_spent and segment.size + needed > limit // _SPENT_SHARE)
            if not is_left or segment.first == self._contents.end:
                return segment
            self._leave_segment()
        segment = OpenSegment(self._directory, self._contents.end, self._key, min(_STEP_BYTES, limit))
        self._segment = segment
        self._contents.begin(segment.as_segment())
        return segment

    def _leave_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._contents.leave()
            self._on_segment()

    def _refuse(self, group: list[_Given], why: str) -> None:
        if any(given.size <= self._limits.disk for given in group):
            self._contents.refuse()
        waiters = []
        for given in group:
            if given.waiter is None:
                self._drop(given.delivery.source, "bus_full", len(given.delivery.bodies))
            else:
                given.waiter.error = BusFull(why)
                waiters.append(given.waiter)
        wake(waiters)

    def _report(self, what: str) -> None:
        """Say once per episode, not once per delivery."""
        if not self._refusing:
            self._refusing = True
            _log.warning("the journal refuses records: %s", what)
