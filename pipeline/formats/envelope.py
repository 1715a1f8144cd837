"""What stands around a message: the eight `format`s of HAProxy's `log` line (manual 3.1, 4.2)."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.formats.times import rfc3339_us

_PRI = r"(?:<(?P<pri>\d{1,3})>)?"
_RFC5424 = (
    r"1 (?P<time5>\S+) (?P<host5>\S+) (?P<tag5>\S+) (?P<pid5>\S+) \S+ "
    r'(?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+)(?: |$)'
)
_RFC3164 = (
    r"(?P<time3>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?:(?P<host3>[^\s\[\]:]+) )?"
    r"(?P<tag3>[^\s\[\]:]{1,64})(?:\[(?P<pid3>\d{1,10})\])?: ?"
)
_TIMED = r"(?P<timed>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*) "
_ENVELOPE = re.compile(f"{_PRI}(?:{_RFC5424}|{_RFC3164}|{_TIMED})?")

_SEVERITIES = 8
_NO_NODE = {"-", "localhost", None}


class Envelope(NamedTuple):
    """A message and what its header says."""

    message: str
    node: str | None
    pid: int | None
    severity: int | None
    time_us: int | None
    """None where the header has no zone (RFC 3164) or there is no header."""


def unwrap(text: str) -> Envelope:
    """Take a line out of its envelope; a line without one is its own message.

    Trailing LF, CR and NUL (HAProxy 3.4's drop notice) are not part of the message; trailing spaces are.
    """
    text = text.rstrip("\r\n\x00")
    found = _ENVELOPE.match(text)
    if found is None or not found.end():
        return Envelope(text, None, None, None, None)
    pri, time5, host5, _, pid5, _, host3, _, pid3, timed = found.groups()
    message = text[found.end() :]
    severity = int(pri) % _SEVERITIES if pri else None
    if time5 is not None:
        pid = int(pid5) if pid5.isdecimal() and len(pid5) < 11 else None  # noqa: PLR2004 -- fits 64 bits
        return Envelope(message, None if host5 in _NO_NODE else host5, pid, severity, rfc3339_us(time5))
    if timed is not None:
        return Envelope(message, None, None, severity, rfc3339_us(timed))
    return Envelope(
        message, None if host3 in _NO_NODE else host3, int(pid3) if pid3 else None, severity, None
    )
