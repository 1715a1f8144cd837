"""I/O: which minutes a writer has touched, and when they are counted anew.

A minute is marked in the store before the first row of it is written, once, and not again until it was counted;
so an ordinary batch costs nothing, and a kill forgets no minute. Counting has a thread and a client of its own:
nobody who writes waits for it.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from pipeline.clock import Clock
from pipeline.model import Lineage
from pipeline.sinks.shared_minutes import SharedMinutes
from pipeline.sinks.stumbles import Stumbles
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import Dsn
from pipeline.store.rollups import MINUTE_S, count_minutes, mark, marked, marks_by_minute, unmark
from pipeline.store.thread import OneThread

_MINUTE_US = MINUTE_S * 1_000_000
_NS = 10**9
_MINUTES = range(2**32 // MINUTE_S)
"""Those that a `DateTime` holds."""
_SETTLED_NS = 30 * _NS
"""A minute is counted when nothing of it was written for so long …"""
_PATIENCE_NS = 600 * _NS
"""… or when its first change is so old."""


class Rollups:
    """The minutes that this process is to count. Methods are safe from any thread.

    Args:
        dsn: Where the store is.
        clock: Says which minutes are over.
    """

    def __init__(self, dsn: Dsn, clock: Clock) -> None:
        self._dsn = dsn
        self._clock = clock
        self._writer = secrets.randbits(63)
        self._lock = threading.Lock()
        self._version = self._taken_at = 0
        self._touched: dict[int, tuple[int, int]] = {}
        """When a minute was first and last touched since it was counted, epoch nanoseconds."""
        self._being_written: set[int] = set()
        self._others: dict[int, set[int]] = {}
        """Marks that were found when the store was opened."""
        self._stumbles = Stumbles()
        self._shared = SharedMinutes(self._stumbles)
        self._thread = OneThread("rollups")
        self._connection: Connection | None = None

    def adopt(self, connection: Connection) -> None:
        """Take over the marks that others left; ours are removed when the minute was counted, and theirs too.

        Raises:
            StoreUnavailable: The store did not answer.
        """
        self._others = marked(connection)
        self._touched = dict.fromkeys(self._others, (0, 0))

    @contextmanager
    def writing(self, connection: Connection, minutes: Collection[int]) -> Iterator[None]:
        """Mark the epoch minutes of rows that are written within the block; none is counted before its end.

        Raises:
            StoreUnavailable: Not marked, so nothing may be written.
        """
        now_ns = self._clock.now_ns()
        minutes = {minute for minute in minutes if minute in _MINUTES}
        with self._lock:
            self._being_written = minutes
            fresh = {
                one for one in minutes if not self._touched.get(one, (0, 0))[1]
            }  # others' marks are not ours
            version = self._next_version()
        try:
            mark(connection, ((minute, self._writer) for minute in sorted(fresh)), version)
            with self._lock:
                for minute in minutes:
                    self._touched[minute] = (self._touched.get(minute, (now_ns, 0))[0], now_ns)
            yield
        finally:
            with self._lock:
                self._being_written = set()

    async def count(self, *, at_once: bool = False) -> int:
        """Count what is due; gives how many minutes that were.

        Args:
            at_once: Whatever is over, settled or not: nothing more will be written.

        Raises:
            StoreUnavailable: What was not counted stays due.
        """
        return await self._thread.run(lambda: self._count(at_once=at_once))

    async def count_shared(self, is_mine: Callable[[int], bool]) -> int:
        """Count what is due, whoever wrote it, as one of many that write: each minute is counted by one of them.

        Args:
            is_mine: Says whether an epoch minute is ours to count; called on another thread.

        Raises:
            StoreUnavailable: What was not counted stays due.
        """
        return await self._thread.run(lambda: self._count_shared(is_mine))

    async def close(self) -> None:
        """Close the client; what is marked is counted by whoever opens the store next."""
        await self._thread.close(lambda: None if self._connection is None else self._connection.close())

    def _opened(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._dsn)
        return self._connection

    def _count_shared(self, is_mine: Callable[[int], bool]) -> int:
        connection, counted = self._opened(), 0
        while self._take(at_once=False):
            pass  # what rests is marked anew when it is written to again: whoever counts it sees that
        for due in self._shared.due(marks_by_minute(connection), is_mine, self._clock.now_ns()):
            with self._minding(due.minutes):
                count_minutes(connection, list(due.minutes))
                unmark(connection, due.outdated)
            self._shared.done(due)
            counted += len(due.minutes)
        return counted

    def _count(self, *, at_once: bool) -> int:
        connection, counted = self._opened(), 0
        while taken := self._take(at_once=at_once):
            version = self._taken_at
            try:
                with self._minding(taken):
                    count_minutes(connection, list(taken))
                    marks = [
                        (one, who) for one in taken for who in (self._writer, *self._others.get(one, ()))
                    ]
                    mark(connection, marks, version, is_deleted=True)
            except BaseException:
                self._give_back(taken)
                raise
            for minute in taken:
                self._others.pop(minute, None)
            counted += len(taken)
        return counted

    @contextmanager
    def _minding(self, minutes: Iterable[int]) -> Iterator[None]:
        """Let minutes that cannot be counted wait behind the others the next time."""
        try:
            yield
        except BaseException:
            self._stumbles.failed(minutes)
            raise
        self._stumbles.counted(minutes)

    def _take(self, *, at_once: bool) -> dict[int, tuple[int, int]]:
        """Take minutes that are due, so many as are counted at once."""
        now_ns = self._clock.now_ns()
        with self._lock:
            due = [
                minute
                for minute, (first_ns, last_ns) in self._touched.items()
                if minute not in self._being_written
                and (minute + 1) * MINUTE_S * _NS <= now_ns
                and (at_once or now_ns - last_ns >= _SETTLED_NS or now_ns - first_ns >= _PATIENCE_NS)
            ]
            self._taken_at = self._next_version()
            return {minute: self._touched.pop(minute) for minute in self._stumbles.next_part(due)}

    def _give_back(self, taken: dict[int, tuple[int, int]]) -> None:
        with self._lock:
            for minute, (first_ns, last_ns) in taken.items():
                later = self._touched.get(minute)
                self._touched[minute] = (first_ns, later[1] if later else last_ns)

    def _next_version(self) -> int:
        self._version = max(self._version + 1, self._clock.now_ns())
        return self._version


def minutes_of(rows: Iterable[Lineage]) -> set[int]:
    """Give the epoch minutes that rows start in; without an edge record, those that they may have started in."""
    minutes = {row.edge.start_us // _MINUTE_US for row in rows if row.edge is not None}
    minutes.update(one.started_us // _MINUTE_US for row in rows if row.edge is None for one in row.attempts)
    return minutes
