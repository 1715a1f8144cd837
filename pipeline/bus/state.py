"""The small part of a journal that changes in place: the committed offset and the outcomes, in SQLite.

One row, changed by one statement: committed offset and outcomes are one transaction, fsynced when it returns.
SQLite in WAL mode and exclusive locking, so that no shared-memory file is needed.

A full disk may not keep a commit from being saved, since commits are what gives space back: a file of a
mebibyte, `reserve`, is given up for it and taken again later.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pipeline.bus.first_offset import draw_first_offset
from pipeline.errors import ConfigError
from pipeline.model import Outcome, OutcomeKind, Source

_VERSION = 1
_RESERVE_BYTES = 2**20
_SCHEMA = """CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 1), base INTEGER NOT NULL, committed INTEGER NOT NULL,
    outcomes TEXT NOT NULL, key_check TEXT)"""


class State:
    """The saved state of the journal in a directory; used by one thread at a time.

    Raises:
        ConfigError: It cannot be opened, or is not ours.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "state.db"
        self._reserve = directory / "reserve"
        try:
            self._open()
            self.committed, text, self.key_check = self._load()
            self.outcomes = _from_json(text)
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            raise ConfigError(f"the journal's {self._file} cannot be used: {error}") from error
        self._take_reserve()

    def save(self, committed: int, outcomes: Mapping[Outcome, int]) -> None:
        """Make both durable together.

        Raises:
            sqlite3.OperationalError: They are not; the disk is full, or failing.
        """
        try:
            self._update("committed = ?, outcomes = ?", committed, _to_json(outcomes))
        except sqlite3.OperationalError:
            self._reserve.unlink(missing_ok=True)
            self._update("committed = ?, outcomes = ?", committed, _to_json(outcomes))
        if not self._reserve.exists():
            self._take_reserve()

    def save_key_check(self, check: str | None) -> None:
        """Remember with which key the journal is written."""
        self._update("key_check = ?", check)
        self.key_check = check

    def close(self) -> None:
        """Close the database; safe to call twice."""
        self._database.close()

    def _open(self) -> None:
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite itself would make it 0644
        try:
            self._connect()
        except sqlite3.OperationalError:  # perhaps no space for the WAL's first bytes
            self._reserve.unlink(missing_ok=True)
            self._connect()

    def _connect(self) -> None:
        database = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False, timeout=0)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA wal_autocheckpoint = 64")
            _create_or_check(database)
        except BaseException:
            database.close()
            raise
        self._database = database

    def _load(self) -> tuple[int, str, str | None]:
        row = self._database.execute("SELECT committed, outcomes, key_check FROM state").fetchone()
        return row[0], row[1], row[2]

    def _update(self, what: str, *values: object) -> None:
        self._database.execute(f"UPDATE state SET {what}", values)  # noqa: S608 -- literals of this file

    def _take_reserve(self) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
            except OSError:
                self._reserve.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _create_or_check(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == _VERSION:
        return
    if version != 0:
        raise ValueError(f"it has version {version}, this Hoptrail writes version {_VERSION}")
    base = draw_first_offset()
    database.execute("BEGIN IMMEDIATE")
    database.execute(_SCHEMA)
    database.execute("INSERT INTO state VALUES (1, ?, ?, '[]', NULL)", (base, base))
    database.execute(f"PRAGMA user_version = {_VERSION}")
    database.execute("COMMIT")


def _to_json(outcomes: Mapping[Outcome, int]) -> str:
    return json.dumps([[*outcome, count] for outcome, count in outcomes.items()])


def _from_json(text: str) -> Counter[Outcome]:
    return Counter(
        {
            Outcome(Source(source), OutcomeKind(kind), reason): count
            for source, kind, reason, count in json.loads(text)
        }
    )
