"""The queue of spans on disk, in SQLite: whole export requests, oldest first, and what became of the others.

What is put in and the account change in one transaction, and so do what leaves and why: after a kill
`received = sent + dropped + queued` holds as before. SQLite and not segment files, as there are a few large rows
a second and both ends change the account.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, RetryableError
from pipeline.spans import MOST_BYTES, Frame
from pipeline.spans.waiting import DISK_ERROR, DROPPED, QUEUE_FULL, Fate, SpanAccount, Stored

_VERSION = 1
_SCHEMA = (
    "CREATE TABLE frames (id INTEGER PRIMARY KEY AUTOINCREMENT, spans INTEGER NOT NULL, body BLOB NOT NULL)",
    """CREATE TABLE account (kind TEXT NOT NULL, reason TEXT NOT NULL, spans INTEGER NOT NULL,
    PRIMARY KEY (kind, reason)) WITHOUT ROWID""",
)
_MOST_FREE_PAGES = 4096
"""Pages that an emptied queue keeps of its file: 16 MiB."""


class QueueUnusable(RetryableError):  # noqa: N818 -- says what is the case
    """The disk does not give or take a frame now."""


class SpanQueue:
    """Keeps frames until a receiver has taken them; used from any thread.

    Args:
        file: The database; made where there is none.
        max_bytes: Most bytes of spans in it.

    Raises:
        ConfigError: It cannot be opened, or is not ours.
    """

    def __init__(self, file: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._queued = 0
        self._changed = threading.Condition()
        self._ending = False
        self._uncounted: Counter[Fate] = Counter()
        """What could not be written to the account yet."""
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite itself would make it 0644
            self._database = _connect(file)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise ConfigError(f"the queue of spans {file} cannot be used: {error}") from error
        ((number,),) = self._ask("PRAGMA application_id")
        self._name = f"spans-{number:08x}"
        self._fates = Counter(
            {
                (kind, reason): spans
                for kind, reason, spans in self._ask("SELECT kind, reason, spans FROM account")
            }
        )
        ((self._queued, self._bytes),) = self._ask(
            "SELECT coalesce(sum(spans), 0), coalesce(sum(length(body)), 0) FROM frames"
        )

    @property
    def name(self) -> str:
        """What its account is called in the ledger: the same for as long as the file is."""
        return self._name

    @property
    def room(self) -> int:
        """Bytes that still fit."""
        return max(0, self._max_bytes - self._bytes)

    def put(self, frames: Sequence[Frame]) -> bool:
        """Keep frames; on return they survive a kill and a power cut, or they are counted as dropped.

        Returns:
            Whether they were kept: all of them, or none.
        """
        with self._changed:
            try:
                with self._database:
                    self._database.execute("BEGIN IMMEDIATE")
                    self._database.executemany(
                        "INSERT INTO frames (spans, body) VALUES (?, ?)", [(f.spans, f.body) for f in frames]
                    )
            except sqlite3.Error:
                self._count({(DROPPED, DISK_ERROR): sum(frame.spans for frame in frames)})
                return False
            self._queued += sum(frame.spans for frame in frames)
            self._bytes += sum(len(frame.body) for frame in frames)
            self._changed.notify_all()
        return True

    def drop(self, reason: str, spans: int) -> None:
        """Count spans that never got in."""
        with self._changed:
            self._count({(DROPPED, reason): spans})

    def first(self, wait_s: float) -> Stored | None:
        """Give the oldest frame, waiting for one; None where none came.

        Raises:
            QueueUnusable: The disk does not give it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queued or self._ending, wait_s)
            try:
                rows = self._ask("SELECT id, body, spans FROM frames ORDER BY id LIMIT 1")
            except sqlite3.Error as error:
                raise QueueUnusable(str(error)) from error
        return Stored(rows[0][0], Frame(rows[0][1], rows[0][2])) if rows else None

    def end_waiting(self) -> None:
        """Let nobody wait for a frame any more."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def done(self, stored: Stored, fates: Mapping[Fate, int]) -> None:
        """Let a frame leave, and count what became of its spans; durable when it returns.

        Raises:
            QueueUnusable: It is still there, and may be sent again.
        """
        with self._changed:
            try:
                with self._database:
                    self._database.execute("BEGIN IMMEDIATE")
                    self._database.execute("DELETE FROM frames WHERE id = ?", (stored.number,))
                    self._write_account(self._uncounted + Counter(fates) if self._uncounted else fates)
            except sqlite3.Error as error:
                raise QueueUnusable(str(error)) from error
            self._uncounted.clear()
            self._fates.update(fates)
            self._queued -= stored.frame.spans
            self._bytes -= len(stored.frame.body)
            if not self._queued:
                self._give_space_back()

    def account(self) -> SpanAccount:
        """Give the account as of now."""
        with self._changed:
            return SpanAccount(dict(self._fates), self._queued, self._bytes)

    def close(self) -> None:
        """Close the database; safe to call twice."""
        with self._changed:
            self._database.close()

    def _count(self, fates: Mapping[Fate, int]) -> None:
        """Count, now and on disk; a disk that does not take it gets it with the next frame that leaves."""
        self._fates.update(fates)
        self._uncounted.update(fates)
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._write_account(self._uncounted)
            self._uncounted.clear()
        except sqlite3.Error:
            return

    def _write_account(self, fates: Mapping[Fate, int]) -> None:
        self._database.executemany(
            "INSERT INTO account VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET spans = spans + excluded.spans",
            [(*fate, spans) for fate, spans in fates.items() if spans],
        )

    def _give_space_back(self) -> None:
        ((free,),) = self._ask("PRAGMA freelist_count")
        if free > _MOST_FREE_PAGES:
            self._database.executescript("PRAGMA incremental_vacuum")  # execute() frees a single page

    def _ask(self, query: str) -> list[Any]:
        return self._database.execute(query).fetchall()


class QueueInlet:
    """The engine's end of a queue on disk: waits for the disk on a thread beside.

    Args:
        queue: Where frames go.
    """

    why_full = QUEUE_FULL
    most_bytes = MOST_BYTES

    def __init__(self, queue: SpanQueue) -> None:
        self._queue = queue

    @property
    def room(self) -> int:
        """Bytes that still fit."""
        return self._queue.room

    async def put(self, frames: Sequence[Frame]) -> bool:
        """Keep frames; see `SpanQueue.put`."""
        return await asyncio.to_thread(self._queue.put, frames)

    async def drop(self, reason: str, spans: int) -> None:
        """Count spans that never got in."""
        await asyncio.to_thread(self._queue.drop, reason, spans)


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=1)
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA locking_mode = EXCLUSIVE")  # two senders of one queue would send all twice
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in {0, _VERSION}:
            raise ValueError(f"it has version {version}, this Hoptrail writes version {_VERSION}")  # noqa: TRY301
        if version == 0:
            database.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.execute("COMMIT")
        if not database.execute("PRAGMA application_id").fetchone()[0]:
            database.execute(f"PRAGMA application_id = {secrets.randbelow(2**31 - 1) + 1}")
    except BaseException:
        database.close()
        raise
    return database


def read_account(file: Path) -> SpanAccount | None:
    """Read the account that a stopped process left; None where there is none, or it cannot be read."""
    if not file.is_file():
        return None
    try:
        queue = SpanQueue(file, 0)
    except ConfigError:
        return None
    try:
        return queue.account()
    finally:
        queue.close()
