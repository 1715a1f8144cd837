"""`option httplog` and what is usually put behind it, told apart without configuration (manual 8.2.3, 8.2.4).

Header captures disappear on streamless lines and their names are not in the line, so they are passed over.
Cookie captures are the one value that HAProxy does not escape: the last place that fits is the true one, since
everything behind it is escaped.
"""

from __future__ import annotations

import re

from pipeline.formats import flags as flag

_START = (
    r"(\S{2,45}):(\d{1,10}) \[([^\]]{20,35})\] (\S{1,257}) ([^\s/]{1,256})/(\S{1,256}) "
    r"(-?\d{1,19})/(-?\d{1,19})/(-?\d{1,19})/(-?\d{1,19})/(\+?-?\d{1,19})"
)
_ANSWER = r" (-?\d{1,10}) (\+?\d{1,19}) "
_STATE = r" ([-A-Za-z]{2}[-A-Z7]{2}) \d{1,10}/\d{1,10}/\d{1,10}/\d{1,10}/(\+?\d{1,10})"
_END = (
    r' \d{1,10}/\d{1,10}(?: \{[^{}"]*\}){0,2} "([^"]*)"?'
    r"(?: (?:\d{1,10}/[0-9A-Fa-f]{1,16}/\d{1,10}/\d{1,10}/[01]|-/-/-/-/[-01]) ([^\s\"]*)/([^\s/\"]+)/([^\s\"]+))?"
    r"(?: ([^\s{}\"]+))?\s*+"
)
_NAMES = ("ci", "cp", "tr", "ft", "b", "s", "TR", "Tw", "Tc", "Tr", "Ta", "ST", "B", "tsc", "rc")
_NAMES_TO_END = (*_NAMES, "r", "sni", "sslv", "sslc", "ID")
_PLAIN = re.compile(_START + _ANSWER + r"\S{1,4096} \S{1,4096}" + _STATE + _END, re.ASCII).fullmatch
_ODD_COOKIES = re.compile(_START + _ANSWER + ".*" + _STATE + _END, re.ASCII | re.DOTALL).fullmatch
_CUT = re.compile(f"{_START}(?:{_ANSWER}(?:.*{_STATE})?)?", re.ASCII | re.DOTALL).match
_CUT_ANSWER = re.compile(r"(?: -?\d{0,10}(?: \+?\d{0,19})?)?", re.ASCII).fullmatch


def match_httplog(message: str, flags: set[str]) -> dict[str, str | None] | None:
    """Give the values of an httplog or httpslog line; None where it is not one.

    A line that was cut anywhere behind its timers is read as far as it goes, and flagged.
    """
    found = _PLAIN(message) or (_ODD_COOKIES(message) if " [" in message[:60] else None)
    if found is not None:
        if found.end(16) == len(message):  # the quote behind the request is not there
            flags.add(flag.TRUNCATED)
        return dict(zip(_NAMES_TO_END, found.groups(), strict=True))
    found = _CUT(message)
    if found is None:
        return None
    values: dict[str, str | None] = dict(zip(_NAMES, found.groups(), strict=True))
    rest = message[found.end() :]
    if values["ST"] is None and not _CUT_ANSWER(rest):
        return None  # what follows the five numbers is no status: another format
    flags.add(flag.TRUNCATED)
    if not rest:  # a number that was cut is another number
        values["Ta" if values["ST"] is None else "rc"] = None
    if '"' in rest:
        values["r"] = rest[rest.index('"') + 1 :].partition('"')[0]
    return values
