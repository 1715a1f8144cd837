"""Minutes that could not be counted: they wait behind all others, and come in smaller parts.  PURE.

A count may fail for what one minute holds (it meets the limit of memory). Minutes in whose company it is counted
fail with it, so their part is halved each time until it fails alone; none of the others waits for it any longer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

_MOST_AT_ONCE = 120


class Stumbles:
    """Remembers how often each minute failed since it was last counted."""

    def __init__(self) -> None:
        self._failures: dict[int, int] = {}

    def next_part(self, minutes: Collection[int]) -> list[int]:
        """Give which of some minutes are to be counted first, together: those that failed least, the oldest."""
        fewest = min((self._failures.get(minute, 0) for minute in minutes), default=0)
        alike = sorted(minute for minute in minutes if self._failures.get(minute, 0) == fewest)
        return alike[: max(1, _MOST_AT_ONCE >> fewest)]

    def failed(self, minutes: Iterable[int]) -> None:
        """Take note that minutes were counted together in vain."""
        for minute in minutes:
            self._failures[minute] = self._failures.get(minute, 0) + 1

    def counted(self, minutes: Iterable[int]) -> None:
        """Take note that minutes were counted."""
        for minute in minutes:
            self._failures.pop(minute, None)
