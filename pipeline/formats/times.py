"""Dates as HAProxy and syslog headers write them, to UTC epoch microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_OF = {name: number for number, name in enumerate(_MONTHS, 1)}
_DATE = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?: ([+-])(\d\d)(\d\d))?", re.ASCII
)
_EPOCH = re.compile(r"(\d{1,11})(?:\.(\d{1,6}))?", re.ASCII)
_HEADER = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_WITH_MILLISECONDS = 24
_LEAP_SECOND = 60


class Dates:
    """Reads dates of one zone; remembers the last seconds seen, since a log repeats them."""

    def __init__(self, time_zone: str) -> None:
        self.time_zone = time_zone
        self._zone = ZoneInfo(time_zone)
        self._seconds: dict[str, int] = {}

    def local_us(self, text: str) -> int | None:
        """Read `23/Nov/2026:18:57:23.518` (`%t`, `%tr`, manual 8.2.3), or with a zone (`%trg`, CLF).

        A date without a zone is in the configured one; of an hour that occurs twice the first is meant.
        None for anything else, and for days that do not exist.
        """
        prefix = text[:20]
        second = self._seconds.get(prefix) if len(text) == _WITH_MILLISECONDS else None
        if second is not None and text[20] == "." and text[21:].isdigit() and text.isascii():
            return second * 1_000_000 + int(text[21:]) * 1000
        found = _DATE.fullmatch(text)
        if found is None or found[2] not in _MONTH_OF:
            return None
        zone = self._zone if found[8] is None else None
        day = (int(found[3]), _MONTH_OF[found[2]], int(found[1]), int(found[4]), int(found[5]), int(found[6]))
        second = _epoch_s(day, zone)
        if second is None:
            return None
        if zone is None:
            shift_s = int(found[9]) * 3600 + int(found[10]) * 60
            second += -shift_s if found[8] == "+" else shift_s
        else:
            self._remember(prefix, second)
        return second * 1_000_000 + int((found[7] or "0").ljust(6, "0"))

    def header_us(self, text: str, near_us: int) -> int | None:
        """Read the date of a header: RFC 3339, or `Nov 23 18:35:39` of RFC 3164 in the configured zone.

        The latter has no year; it is the one that brings the date nearest to `near_us`, and for the 29th of
        February the nearest leap year, so that a line of New Year's Eve read on New Year's Day is a day old.
        """
        found = _HEADER.fullmatch(text)
        if found is None:
            return rfc3339_us(text)
        if found[1] not in _MONTH_OF:
            return None
        near_s, year = near_us // 1_000_000, datetime.fromtimestamp(near_us / 1_000_000, UTC).year
        month, day = _MONTH_OF[found[1]], int(found[2])
        span = 8 if (month, day) == (2, 29) else 1  # leap years are up to eight years apart
        times = (
            _epoch_s((candidate, month, day, int(found[3]), int(found[4]), int(found[5])), self._zone)
            for candidate in range(max(1970, year - span), year + span + 1)
        )
        nearest = min(
            (second for second in times if second is not None), key=lambda s: abs(s - near_s), default=None
        )
        return None if nearest is None else nearest * 1_000_000

    def _remember(self, prefix: str, second: int) -> None:
        if len(self._seconds) > 1024:  # noqa: PLR2004 -- about a quarter of an hour of a merged log
            self._seconds.clear()
        self._seconds[prefix] = second


def _epoch_s(parts: tuple[int, int, int, int, int, int], zone: ZoneInfo | None) -> int | None:
    """Give epoch seconds of a wall-clock date; None for one that does not exist in any calendar."""
    year, month, day, hour, minute, second = parts
    leap = second == _LEAP_SECOND
    try:
        date = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=zone or UTC)
    except ValueError:
        return None
    return int(date.timestamp()) + leap


def epoch_us(text: str) -> int | None:
    """Read `1795460243.518` (`%Ts.%ms`) as microseconds."""
    if len(text) == 14 and text[10] == ".":  # noqa: PLR2004 -- seconds until 2286, milliseconds
        digits = text.replace(".", "")
        if digits.isdigit() and digits.isascii() and len(digits) == 13:  # noqa: PLR2004 -- of both
            return int(digits) * 1000
        return None
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) * 1_000_000 + int((found[2] or "0").ljust(6, "0"))


def rfc3339_us(text: str) -> int | None:
    """Read the date of an RFC 5424 header; None where it has no zone."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        return None
    return (date - _EPOCH_DATE) // _MICROSECOND


_EPOCH_DATE = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
