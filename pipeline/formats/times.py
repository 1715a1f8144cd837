"""Dates as HAProxy writes them, to UTC epoch microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_OF = {name: number for number, name in enumerate(_MONTHS, 1)}
_DATE = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(?: ([+-])(\d\d)(\d\d))?"
)
_EPOCH = re.compile(r"(\d{1,11})(?:\.(\d{1,6}))?")


class Dates:
    """Reads dates of one zone; remembers the last seconds seen, since a log repeats them."""

    def __init__(self, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone)
        self._seconds: dict[str, int] = {}

    def local_us(self, text: str) -> int | None:
        """Read `23/Nov/2026:18:57:23.518` (`%t`, `%tr`, manual 8.2.3), or with a zone (`%trg`, CLF).

        A date without a zone is in the configured one; of an hour that occurs twice the first is meant.
        None for anything else, and for days that do not exist.
        """
        prefix = text[:20]
        second = self._seconds.get(prefix) if len(text) == 24 else None  # noqa: PLR2004 -- with .mmm
        if second is not None and text[20] == "." and text[21:].isdigit() and text.isascii():
            return second * 1_000_000 + int(text[21:]) * 1000
        found = _DATE.fullmatch(text)
        if found is None or found[2] not in _MONTH_OF:
            return None
        try:
            zone = self._zone if found[8] is None else None
            date = datetime(
                int(found[3]), _MONTH_OF[found[2]], int(found[1]), int(found[4]), int(found[5]),
                min(int(found[6]), 59), tzinfo=zone or UTC,
            )  # fmt: skip
        except ValueError:
            return None
        if zone is None:
            shift = timedelta(hours=int(found[9]), minutes=int(found[10]))
            date = date - shift if found[8] == "+" else date + shift
        second = int(date.timestamp())
        if zone is not None:
            self._remember(prefix, second)
        return second * 1_000_000 + int((found[7] or "0").ljust(6, "0"))

    def _remember(self, prefix: str, second: int) -> None:
        if len(self._seconds) > 1024:  # noqa: PLR2004 -- about a quarter of an hour of a merged log
            self._seconds.clear()
        self._seconds[prefix] = second


def epoch_us(text: str) -> int | None:
    """Read `1795460243.518` (`%Ts.%ms`) as microseconds."""
    found = _EPOCH.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) * 1_000_000 + int((found[2] or "0").ljust(6, "0"))


def rfc3339_us(text: str) -> int | None:
    """Read the date of an RFC 5424 header."""
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        return None
    return int(date.timestamp() * 1_000_000)
