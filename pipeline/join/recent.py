"""Keys of groups that were closed a short while ago: what comes under them now may already be stored."""

from __future__ import annotations

from collections.abc import Iterable


class RecentKeys:
    """Remembers keys for at least one window, at most two, and never more than a cap.

    Args:
        window_ns: How long a key is remembered at least.
        most: Keys remembered at once. Above it the older half is given up early, and until its time is
            over every key counts as closed: asking the store too often costs time, too seldom a lineage.
    """

    def __init__(self, window_ns: int, most: int) -> None:
        self._window_ns = window_ns
        self._most = most
        self._newer: dict[int, int] = {}
        self._older: dict[int, int] = {}
        self._turned_ns = 0
        self._unsure_until_ns = 0

    def add(self, keys: Iterable[int]) -> None:
        """Remember the keys of a group that was closed."""
        newer = self._newer
        for key in keys:
            newer[key] = newer.get(key, 0) + 1

    def most_closed(self, keys: Iterable[int]) -> int:
        """How many groups with one of the keys, at most, have been closed a short while ago.

        As far as it is remembered; where keys have been given up early, each counts as closed once.
        """
        newer, older = self._newer.get, self._older.get
        most = 1 if self._unsure_until_ns else 0
        for key in keys:
            closed = newer(key, 0) + older(key, 0)
            most = max(most, closed) if closed else most
        return most

    def count(self, key: int) -> int:
        """How many groups with this key have been closed, as far as it is remembered."""
        return self._newer.get(key, 0) + self._older.get(key, 0)

    def turn(self, now_ns: int) -> None:
        """Let time pass."""
        if now_ns >= self._unsure_until_ns:
            self._unsure_until_ns = 0
        is_early = now_ns - self._turned_ns < self._window_ns
        if is_early and 2 * len(self._newer) <= self._most:
            return
        if is_early and self._older:
            self._unsure_until_ns = self._turned_ns + 2 * self._window_ns
        self._older, self._newer = self._newer, {}
        self._turned_ns = now_ns
