"""Time as an argument: the one place that reads the machine's clock.

Stages ask a `Clock`; tests turn a `ManualClock` by hand.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a stage learns what time it is."""

    def now_ns(self) -> int:
        """Give UTC epoch nanoseconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        """Give UTC epoch nanoseconds as the kernel has them."""
        return time.time_ns()


class ManualClock:
    """A clock that stands still until it is turned; for tests and for replays of files."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Give the time it was last turned to."""
        return self._now_ns

    def turn_to(self, now_ns: int) -> None:
        """Set the time; going back is a mistake of the caller's and is ignored."""
        self._now_ns = max(self._now_ns, now_ns)
