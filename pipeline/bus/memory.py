"""A bus that keeps deliveries in memory: for replays of files, and for tests.

Nothing survives the process. What has been read is let go at once, since nobody can open this bus again; so
the cap is on what has not been read.

Back pressure: `append` waits while the cap is reached, where a journal raises `BusFull`. A journal's peers
can be told, and will send again; who replays a file can simply wait, and must not lose a line. Hence `fill`
stays 0.0: no append is ever refused, so there is nothing that giving up waiting halves would relieve.

Delivery: each delivery is read once; `committed` and the account are those of any bus.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Mapping

from pipeline.bus.books import Books
from pipeline.bus.first_offset import draw_first_offset
from pipeline.bus.unread import Unread, placed, size_in_memory
from pipeline.bus.waking import Waiter, wake
from pipeline.contracts import Account
from pipeline.model import Delivery, Outcome, Source


class MemoryBus:
    """A `Bus` without a disk.

    Args:
        max_bytes: Memory that unread deliveries may take, estimated. One that is larger by itself is let in
            when nothing else is held.
    """

    def __init__(self, max_bytes: int = 64 * 2**20) -> None:
        self._max_bytes = max_bytes
        self._books = Books(draw_first_offset())
        self._unread = Unread()
        self._lock = threading.Lock()
        self._reader: Waiter | None = None
        self._givers: deque[tuple[Waiter, Delivery]] = deque()

    async def append(self, delivery: Delivery) -> None:
        """Keep a delivery; waits while the cap is reached, first come, first served."""
        with self._lock:
            if not self._givers and self._has_room(delivery):
                told = self._keep(delivery)
                waiting = None
            else:
                told, waiting = [], (Waiter(), delivery)
                self._givers.append(waiting)
        wake(told)
        if waiting is None:
            return
        try:
            await waiting[0].future
        except asyncio.CancelledError:
            with self._lock:
                if waiting in self._givers:
                    self._givers.remove(waiting)
            raise

    def append_nowait(self, delivery: Delivery) -> None:
        """Keep a delivery, or count its records as dropped with the reason `bus_full`."""
        with self._lock:
            fits = not self._givers and self._has_room(delivery)
            if fits:
                told = self._keep(delivery)
            else:
                told = []
                self._books.drop(delivery.source, "bus_full", len(delivery.bodies))
        wake(told)

    async def read(self, limit: int, wait_s: float) -> list[Delivery]:
        """Give what comes next, in offset order; it is not kept any longer."""
        deliveries = self._take(limit)
        if deliveries or wait_s <= 0:
            return deliveries
        waiter = Waiter()
        with self._lock:
            self._reader = None if self._unread else waiter
        if self._reader is waiter:
            await asyncio.wait([waiter.future], timeout=wait_s)
        return self._take(limit)

    async def commit(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        """Let records leave the account.

        Raises:
            ValueError: The outcomes do not add up to the records passed; nothing has changed.
        """
        with self._lock:
            self._books.commit(offset, outcomes)

    def count_drop(self, source: Source, reason: str, count: int) -> None:
        """Count records that never reached the bus."""
        with self._lock:
            self._books.drop(source, reason, count)

    def account(self) -> Account:
        """Give the account as of now."""
        with self._lock:
            return self._books.account()

    def accounts(self) -> Mapping[str, Account]:
        """Give the account under the name of the bus."""
        with self._lock:
            return self._books.accounts()

    @property
    def committed(self) -> int:
        """The offset below which every record is accounted for."""
        return self._books.committed

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        return self._books.end

    @property
    def fill(self) -> float:
        """Always 0.0: who appends waits, and is never refused."""
        return 0.0

    def _has_room(self, delivery: Delivery) -> bool:
        return not self._unread or self._unread.bytes + size_in_memory(delivery) <= self._max_bytes

    def _keep(self, delivery: Delivery) -> list[Waiter]:
        """Take a delivery in, under the lock; gives whom to wake after it."""
        if not delivery.bodies:
            return []
        self._unread.push(placed(delivery, self._books.end), size_in_memory(delivery))
        self._books.receive(delivery.source, len(delivery.bodies))
        told, self._reader = self._reader, None
        return [told] if told is not None else []

    def _take(self, limit: int) -> list[Delivery]:
        told: list[Waiter] = []
        with self._lock:
            self._reader = None
            deliveries = self._unread.take(limit, self._books.committed)
            while self._givers and self._has_room(self._givers[0][1]):
                giver, delivery = self._givers.popleft()
                self._keep(delivery)
                told.append(giver)
        wake(told)
        return deliveries
