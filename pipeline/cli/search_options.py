"""PURE: what a person types behind the options of a search; errors name the option and the fix."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pipeline.errors import ConfigError
from pipeline.store.conditions import StatusRange

_AGO = re.compile(r"([0-9]{1,6})(s|m|h|d|w)")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CLASS = re.compile(r"([1-9])xx", re.IGNORECASE)
_COMPARED = re.compile(r"(>=|<=|>|<|=)?\s*([0-9]{1,3})")
_HIGHEST = 65_535
"""The store keeps 16 bits of a status."""
_FIRST_US = -62_135_596_800_000_000
_LAST_US = 253_402_300_740_000_000
"""From the first minute of the year 1 to the last of 9999: what can be written as a date."""


def moment_us(option: str, text: str, now_us: int) -> int:
    """Read a time: `15m`, `24h`, `7d` ago, or RFC 3339; without a zone it is UTC.

    Returns:
        UTC epoch microseconds; the nearest of the years 1 to 9999.

    Raises:
        ConfigError: It is neither.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return max(_FIRST_US, now_us - int(ago[1]) * _UNITS_S[ago[2]] * 1_000_000)
    try:
        date = datetime.fromisoformat(text.strip())
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        seconds = (date - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{option} {text!r} is no time; write 15m, 24h or 7d for so long ago, or 2026-11-23T18:57:23Z"
        ) from error
    return min(max(_FIRST_US, round(seconds * 1_000_000)), _LAST_US)


def span_us(option: str, text: str) -> int:
    """Read a length of time, `15m`, `24h`, `7d`, as microseconds.

    Raises:
        ConfigError: It is none.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is None:
        raise ConfigError(f"{option} {text!r} is no length of time; write 15m, 24h or 7d")
    return int(ago[1]) * _UNITS_S[ago[2]] * 1_000_000


def status_ranges(texts: Iterable[str]) -> tuple[StatusRange, ...]:
    """Read statuses: `503`, `5xx`, `>=400`, several with commas.

    Raises:
        ConfigError: One is none of these.
    """
    return tuple(_status_range(part.strip()) for text in texts for part in text.split(","))


def _status_range(text: str) -> StatusRange:
    hundred = _CLASS.fullmatch(text)
    if hundred:
        return StatusRange(int(hundred[1]) * 100, int(hundred[1]) * 100 + 99)
    compared = _COMPARED.fullmatch(text)
    if compared is None:
        raise ConfigError(f"--status {text!r} is no status; write 503, 5xx or '>=400'")
    number = int(compared[2])
    return {
        ">=": StatusRange(number, _HIGHEST),
        ">": StatusRange(number + 1, _HIGHEST),
        "<=": StatusRange(1, number),
        "<": StatusRange(1, number - 1),
    }.get(compared[1] or "=", StatusRange(number, number))


def networks(texts: Iterable[str]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Read client addresses: `203.0.113.9`, `203.0.113.0/24`, `2001:db8::/32`.

    Raises:
        ConfigError: One is no address.
    """
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip().strip("[]"), strict=False))
        except ValueError as error:
            raise ConfigError(
                f"--client-ip {text!r} is no address; write 203.0.113.9 or 203.0.113.0/24"
            ) from error
    return tuple(found)


def one_of(option: str, texts: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """Check words against a closed list.

    Raises:
        ConfigError: One is not in it; names all that are.
    """
    words = tuple(part.strip() for text in texts for part in text.split(","))
    for word in words:
        if word not in known:
            raise ConfigError(f"{option} {word!r} is not known; known are {', '.join(known)}")
    return words
