"""Notices that HAProxy's dates without a zone are read in the wrong one. Changes nothing by itself.

A line that carries both such a date and a header with a zone says when the request began and when the line
was written; what lies between is its duration. Where whole quarter-hours lie between, the zone is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_QUARTER_US = 900 * 1_000_000
_MOST_QUARTERS = 56
_TOLERANCE_US = 45 * 1_000_000
_LOOK_EVERY = 16
_MOST_WARNINGS = 16
_QUARTERS_OF_HOUR = 4


class ZoneWatch:
    """Compares now and then."""

    def __init__(self, time_zone: str) -> None:
        self._name = time_zone
        self._zone = ZoneInfo(time_zone)
        self._seen = 0
        self.warnings: Counter[str] = Counter()
        """What is wrong and the setting that would be right, with how many of the lines looked at said so."""
        self.tell: Callable[[str], None] = _nobody
        """Called with each warning once, when it is new; there are 16 at most."""

    def is_due(self) -> bool:
        """Whether the next line is to be looked at: the first, and then one of sixteen."""
        self._seen += 1
        return self._seen % _LOOK_EVERY == 1

    def look(self, start_us: int, duration_ms: int, written_us: int) -> None:
        """Compare the date of a request, read in the configured zone, with that of its header.

        Args:
            start_us: The request's date.
            duration_ms: How long it took.
            written_us: When the line was written, from the header, which has its zone.
        """
        gap_us = written_us - start_us - duration_ms * 1000
        quarters = round(gap_us / _QUARTER_US)
        if (
            not quarters
            or abs(quarters) > _MOST_QUARTERS
            or abs(gap_us - quarters * _QUARTER_US) > _TOLERANCE_US
        ):
            return
        offset = datetime.fromtimestamp(start_us / 1e6, UTC).astimezone(self._zone).utcoffset()
        true_quarters = (round(offset.total_seconds() / 900) if offset else 0) - quarters
        text = (
            f"HAProxy's dates are of UTC{_clock(true_quarters)}, but time_zone is {self._name}: set "
            f"sources.syslog.time_zone to the zone of that host{_fixed(true_quarters)}"
        )
        is_new = text not in self.warnings
        if is_new and len(self.warnings) >= _MOST_WARNINGS:
            return
        self.warnings[text] += 1
        if is_new:
            self.tell(text)


def _nobody(_text: str) -> None: ...


def _clock(quarters: int) -> str:
    hours, rest = divmod(abs(quarters), _QUARTERS_OF_HOUR)
    return f"{'-' if quarters < 0 else '+'}{hours:02d}:{rest * 15:02d}"


def _fixed(quarters: int) -> str:
    """Name the zone of a whole hour that has no summer time; its sign is the other way round."""
    hours, rest = divmod(abs(quarters), _QUARTERS_OF_HOUR)
    if rest:
        return ""
    name = "UTC" if not hours else f"Etc/GMT{'+' if quarters < 0 else '-'}{hours}"
    return f" (or to {name}, which has no summer time)"
