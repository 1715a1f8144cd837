"""The thread that saves a journal's commits and drops, and removes segments that are no longer needed.

Apart from the writer, so that neither a SQLite transaction nor the removal of a file (tens of milliseconds)
keeps an append waiting.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Mapping
from enum import Enum
from queue import Empty, SimpleQueue
from typing import NamedTuple

from pipeline.bus.contents import Contents
from pipeline.bus.state import State
from pipeline.bus.waking import Waiter, wake
from pipeline.errors import RetryableError
from pipeline.model import Outcome

_log = logging.getLogger(__name__)

_DROPS_WITHIN_S = 0.2
"""A drop is durable that soon after it was counted, or with the next commit."""
_RETRY_S = 0.5


class _Commit(NamedTuple):
    offset: int
    outcomes: Mapping[Outcome, int]
    waiter: Waiter


class _Sign(Enum):
    DROPS = 1
    TIDY = 2
    STOP = 3


class Keeper:
    """Saves what changes in place."""

    def __init__(self, contents: Contents, state: State) -> None:
        self._contents = contents
        self._state = state
        self._queue: SimpleQueue[_Commit | _Sign] = SimpleQueue()
        self._lock = threading.Lock()
        self._dirty = False
        self._is_failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-keeper", daemon=True)
        self._thread.start()

    def commit(self, offset: int, outcomes: Mapping[Outcome, int], waiter: Waiter) -> None:
        """Queue a commit; the waiter is woken when it is durable.

        It gets a `ValueError` where the outcomes do not add up, and a `RetryableError` where the journal
        closes before the disk takes it.

        Raises:
            RetryableError: The journal is closed.
        """
        with self._lock:
            if self._stopping.is_set():
                raise RetryableError("the journal is closed: what was to be committed will be read again")
            self._queue.put(_Commit(offset, outcomes, waiter))

    def save_drops(self) -> None:
        """Say that drops were counted."""
        with self._lock:
            if not self._dirty:
                self._dirty = True
                self._queue.put(_Sign.DROPS)

    def tidy(self) -> None:
        """Say that segments may go."""
        self._queue.put(_Sign.TIDY)

    def stop(self) -> None:
        """Save what is queued, and end; safe to call twice."""
        with self._lock:
            self._stopping.set()
            self._queue.put(_Sign.STOP)
        self._thread.join()

    def _run(self) -> None:
        due: float | None = None
        while (told := self._next(due)) is not _Sign.STOP:
            if isinstance(told, _Commit):
                self._commit(told)
            elif told is _Sign.DROPS and due is None:
                due = time.monotonic() + _DROPS_WITHIN_S
            if due is not None and time.monotonic() >= due:
                due = None if self._save_drops() else time.monotonic() + _RETRY_S
            self._remove_segments()
        self._save_drops()
        self._remove_segments()

    def _next(self, due: float | None) -> _Commit | _Sign | None:
        """Wait for what is to be done, or until something is due."""
        with contextlib.suppress(Empty):
            return self._queue.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        return None

    def _commit(self, commit: _Commit) -> None:
        """Save a commit, however long it takes: only commits give space back."""
        waiter = commit.waiter
        try:
            while not self._save(commit.offset, commit.outcomes):
                if self._stopping.wait(_RETRY_S):
                    raise RetryableError("the journal closed before a commit could be saved")  # noqa: TRY301
            self._contents.commit(commit.offset, commit.outcomes)
        except (ValueError, RetryableError, sqlite3.Error) as error:
            waiter.error = error
        wake([waiter])

    def _save_drops(self) -> bool:
        if not self._dirty:
            return True
        try:
            return self._save(None, {})
        except sqlite3.Error:
            _log.exception("the journal cannot save its drops")
            return False

    def _save(self, offset: int | None, outcomes: Mapping[Outcome, int]) -> bool:
        """Save the state as it will be; says whether it is durable."""
        saved = False
        with self._lock:
            was_dirty, self._dirty = self._dirty, False  # drops counted from here on say so again
        try:
            self._state.save(*self._contents.prepare(offset, outcomes))
            saved = True
        except sqlite3.OperationalError as error:
            if not self._is_failing:
                _log.warning("the journal's state cannot be saved, trying again: %s", error)
        finally:
            self._is_failing = not saved
            with self._lock:
                self._dirty |= was_dirty and not saved
        return saved

    def _remove_segments(self) -> None:
        for segment in self._contents.retired():
            try:
                segment.path.unlink(missing_ok=True)
            except OSError as error:
                _log.warning("cannot remove %s: %s", segment.path, error.strerror)
