"""The embedded bus: an append-only log on the local disk, with group commit and fsync.

Segment files hold the deliveries, as they came; SQLite, in WAL mode, holds what changes in place: the
committed offset and the outcomes. Two threads do the writing: `writer` appends, `keeper` commits and removes
segments. Inside a directory: `<first offset>.log`, `state.db`, `reserve`, `lock`; all mode 0600.

Back pressure: at `max_bytes`, on a full or failing disk, and where the disk does not keep up, `append` raises
`BusFull` and `append_nowait` counts a drop; both go on when there is space.

Delivery: an append that returned survives a power cut, and is read until it is committed. One reader.

Choice: all in SQLite, LMDB, and segment files were measured with the same synced loads, commits behind them,
two rounds. With its best page size SQLite took 2 to 3 times the processor time of segment files for
deliveries of 200 x 700 B, 1.2 times for 100 x 2.5 kB, as it writes each byte twice, and held its writer for
20 ms and more a commit to delete rows, where segment files need 0.3 ms. LMDB took 0.7 to 2 times, but is one
more dependency and never gives space back. What would change our mind: reading in anything but offset order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pipeline.bus.books import Books
from pipeline.bus.cipher import key_check
from pipeline.bus.contents import Contents, Place
from pipeline.bus.keeper import Keeper
from pipeline.bus.lock import DirectoryLock
from pipeline.bus.segment_file import DiskReader, Hole, recover
from pipeline.bus.segments import Segments
from pipeline.bus.state import State
from pipeline.bus.unread import from_offset
from pipeline.bus.waking import Waiter
from pipeline.bus.writer import Writer, WriterLimits
from pipeline.contracts import Account
from pipeline.data_dir import make_private
from pipeline.errors import BusFull, ConfigError
from pipeline.model import Delivery, Outcome, Source

_log = logging.getLogger(__name__)

_MEMORY_BYTES = 64 * 2**20
"""Of deliveries kept for a reader who keeps up."""
_QUEUE_BYTES = 64 * 2**20
"""Of deliveries that wait for the writer and nobody waits for: two seconds of 50,000 datagrams a second."""
_SEGMENTS = 16
_SMALLEST_SEGMENT, _LARGEST_SEGMENT = 2**16, 2**25


@asynccontextmanager
async def open_journal(directory: Path, max_bytes: int, key: bytes | None = None) -> AsyncIterator[Journal]:
    """Open the journal of a directory, or begin one.

    Args:
        directory: Made with mode 0700 where there is none.
        max_bytes: Bytes that its segments may take; the disk use may exceed it by one segment's allocation
            and about 2 MiB of state.
        key: Encrypts bodies and peers on disk (AES-256-GCM), 16 bytes or more. What was written without a
            key before is read on; another key, or none, is accepted once everything is committed.

    Raises:
        ConfigError: Another process has it open, it cannot be used, or the key is not the one it was
            written with.
    """
    journal = await asyncio.to_thread(Journal, directory, max_bytes, key)
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


class Journal:
    """A `Bus` on the local disk; made by `open_journal`."""

    def __init__(self, directory: Path, max_bytes: int, key: bytes | None) -> None:
        make_private(directory)
        self._lock = DirectoryLock(directory)
        try:
            self._state = State(directory)
            try:
                contents = self._recovered(directory, max_bytes, key)
            except BaseException:
                self._state.close()
                raise
        except BaseException:
            self._lock.release()
            raise
        segment_bytes = min(max(max_bytes // _SEGMENTS, _SMALLEST_SEGMENT), _LARGEST_SEGMENT)
        self._contents = contents
        self._disk = DiskReader(key)
        self._keeper = Keeper(contents, self._state)
        self._writer = Writer(
            contents,
            directory,
            WriterLimits(max_bytes, segment_bytes, _QUEUE_BYTES),
            key,
            drop=self.count_drop,
            on_segment=self._keeper.tidy,
        )

    def close(self) -> None:
        """Write what is queued, save the account, let go of the directory; safe to call twice."""
        self._writer.stop()
        self._keeper.stop()
        self._state.close()
        self._disk.close()
        self._lock.release()

    async def append(self, delivery: Delivery) -> None:
        """Keep a delivery; on return it survives a kill and a power cut.

        Raises:
            BusFull: Nothing was kept; the cap is reached, the disk is full or failing.
        """
        if delivery.bodies:
            waiter = Waiter()
            self._writer.give(delivery, waiter)
            await waiter.future

    def append_nowait(self, delivery: Delivery) -> None:
        """Queue a delivery for the writer, or count its records as dropped with the reason `bus_full`."""
        if not delivery.bodies:
            return
        try:
            self._writer.give(delivery, None)
        except BusFull:
            self._contents.refuse()
            self.count_drop(delivery.source, "bus_full", len(delivery.bodies))

    async def read(self, limit: int, wait_s: float) -> list[Delivery]:
        """Give what comes next, in offset order, from the committed offset on.

        Whole deliveries, about `limit` records at most. What memory does not hold is read from the disk on
        the calling thread. Records that a damaged disk has lost are handed out as empty bodies.
        """
        deliveries = self._read_now(limit)
        if deliveries or wait_s <= 0:
            return deliveries
        waiter = Waiter()
        if self._contents.wait(waiter):
            await asyncio.wait([waiter.future], timeout=wait_s)
        elif not (deliveries := self._read_now(limit)):
            await asyncio.sleep(wait_s)  # the disk cannot be read now
        return deliveries or self._read_now(limit)

    async def commit(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        """Let records leave: committed offset and outcomes are durable together when it returns.

        On a full disk it waits until it can be saved. Segments that are no longer needed go afterwards.

        Raises:
            ValueError: The outcomes do not add up to the records passed; nothing has changed.
            RetryableError: The journal was closed before.
        """
        waiter = Waiter()
        self._keeper.commit(offset, dict(outcomes), waiter)
        await waiter.future

    def count_drop(self, source: Source, reason: str, count: int) -> None:
        """Count records that never reached the bus; durable within 0.2 s or with the next commit."""
        self._contents.drop(source, reason, count)
        self._keeper.save_drops()

    def account(self) -> Account:
        """Give the account as of now."""
        return self._contents.account()

    def accounts(self) -> Mapping[str, Account]:
        """Give the account under the name of the journal."""
        return self._contents.accounts()

    @property
    def committed(self) -> int:
        """The offset that a restart would begin at."""
        return self._contents.committed

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        return self._contents.end

    @property
    def fill(self) -> float:
        """Share of `max_bytes` in use, 1.0 for some seconds after something was refused."""
        return self._contents.fill

    @property
    def syncs(self) -> int:
        """Groups of appends made durable since it was opened; each cost one sync."""
        return self._writer.syncs

    def _recovered(self, directory: Path, max_bytes: int, key: bytes | None) -> Contents:
        books = Books(self._state.committed, self._state.outcomes)
        segments = Segments(recover(directory, books))
        check = None if key is None else key_check(key)
        if check != self._state.key_check:
            if self._state.key_check is not None and books.end > books.committed:
                what = "no key was given" if key is None else "another key was given"
                raise ConfigError(
                    f"the journal {directory} is encrypted and {what}: start with the key it was written "
                    "with until everything is stored, or move the directory away (its records are lost)"
                )
            self._state.save_key_check(check)
        return Contents(books, segments, max_bytes, _MEMORY_BYTES)

    def _read_now(self, limit: int) -> list[Delivery]:
        deliveries = self._contents.take(limit)
        if deliveries:
            return deliveries
        count = 0
        while count < limit and (place := self._contents.place()) is not None:
            found = self._read_disk(place, limit - count)
            if not found:
                break
            deliveries += found
            count += sum(len(delivery.bodies) for delivery in found)
        return deliveries

    def _read_disk(self, place: Place, limit: int) -> list[Delivery]:
        """Read one stretch of one segment; nothing where the disk cannot be read now."""
        deliveries: list[Delivery] = []
        offset, count = place.offset, 0
        while place.segment is not None and offset < place.stop and count < limit:
            try:
                read = self._disk.read(place.segment, offset)
            except OSError as error:
                _log.warning("cannot read %s now: %s", place.segment.path, error.strerror)
                break
            if isinstance(read, Hole):
                deliveries += self._lost(place._replace(offset=offset, stop=min(read.stop, place.stop)))
                offset = read.stop
                break
            delivery = from_offset(read, offset)
            if delivery is not None:
                deliveries.append(delivery)
                count += len(delivery.bodies)
            offset = read.offset + len(read.bodies)
        if place.segment is None:
            deliveries, offset = self._lost(place), place.stop
        self._contents.advance(offset)
        return deliveries

    def _lost(self, place: Place) -> list[Delivery]:
        deliveries, offset = [], place.offset
        for source, count in self._contents.owners(place):
            deliveries.append(Delivery(source, [b""] * count, 0, "", offset))
            offset += count
        _log.error("records %d to %d of the journal cannot be read any more", place.offset, place.stop - 1)
        return deliveries
