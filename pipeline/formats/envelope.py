"""What stands around a message: the eight `format`s of HAProxy's `log` line (manual 3.1, 4.2).

Also what rsyslog and syslog-ng write into files: the same headers without the priority.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.formats.text import decode

_RFC5424 = rb"1 (\S{1,64}) (\S{1,255}) (\S{1,255}) (\S{1,128}) \S{1,128} "
_TAG = rb"(?:([^\s\[\]:]{1,255}) )?[^\s\[\]:]{1,64}(?:\[(\d{1,10})\])?:(?: |$)"
_RFC3164 = rb"([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?:%b)?" % _TAG
_TIMED = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]{0,10}(?:Z|[+-]\d\d:\d\d)?) (?:%b)?" % _TAG
_HEADER = re.compile(rb"(?:<(\d{1,3})>)?(?:%b|%b|%b)?" % (_RFC5424, _RFC3164, _TIMED))
_STRUCTURED = re.compile(rb'(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+(?: |$)', re.DOTALL)

_NOT_TEXT = b"\r\n\x00"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SEVERITIES = 8
_WORDS_OF_RFC5424 = 7
_NO_NODE = {b"-", b"localhost", b"", None}


class Envelope(NamedTuple):
    """A message and what its header says."""

    message: str
    raw: bytes
    """The message as it came: JSON is decoded from it, since `\\xNN` in its place would not be JSON."""
    node: str | None = None
    pid: int | None = None
    severity: int | None = None
    time: str | None = None
    """The header's date as written: RFC 3339, or `Nov 23 18:35:39` without year and zone; None without one."""
    structured: str | None = None
    """Structured data of RFC 5424 (`log-format-sd`), None where it is `-`."""
    has_header: bool = False
    is_utf8: bool = True


def is_header(body: bytes, end: int) -> bool:
    """Whether the first `end` bytes are nothing but a header without structured data."""
    if not end:
        return True
    if body.endswith(b"- - ", 0, end) and body.find(b">1 ", 0, 8) > 0:  # RFC 5424, whose words are counted
        return body.count(b" ", 0, end) == _WORDS_OF_RFC5424
    found = _HEADER.match(body, 0, end)
    return found is not None and found.end() == end


def unwrap(body: bytes) -> Envelope:
    """Take a line out of its envelope; a line without one is its own message.

    Trailing LF, CR and NUL (HAProxy 3.4's drop notice) are not part of the message; trailing spaces are.
    """
    body = body.rstrip(_NOT_TEXT)
    found = _HEADER.match(body)
    end = found.end() if found else 0
    if found is None or not end:
        message, is_utf8 = decode(body)
        return Envelope(message, body, is_utf8=is_utf8)
    pri, time5, host5, _, pid5, time3, host3, pid3, timed, host_timed, pid_timed = found.groups()
    structured = None
    if time5 is not None:
        structured, end = _split_structured(body, end)
    raw = body[end:].removeprefix(_BYTE_ORDER_MARK)
    message, is_utf8 = decode(raw)
    host, time, pid = host5 or host3 or host_timed, time5 or time3 or timed, pid5 or pid3 or pid_timed
    node = None if host in _NO_NODE else decode(host)[0]
    process = int(pid) if pid and pid.isdigit() and len(pid) < 11 else None  # noqa: PLR2004 -- fits 64 bits
    severity = int(pri) % _SEVERITIES if pri else None
    date = None if time is None or time == b"-" else decode(time)[0]
    data = decode(structured)[0] if structured else None
    return Envelope(
        message, raw, node, process, severity, date, data, True, is_utf8
    )  # by position: it is faster


def _split_structured(body: bytes, start: int) -> tuple[bytes | None, int]:
    """Find the structured data that begins at `start`, and where the message begins.

    HAProxy does not see to it that its values are escaped: what breaks the grammar ends at the first `] `.
    """
    if body[start : start + 1] != b"[":
        return None, start + 2 if body[start : start + 2] == b"- " else start + (body[start:] == b"-")
    found = _STRUCTURED.match(body, start)
    end = found.end() if found else body.find(b"] ", start) + 2
    if end < start:
        return None, start
    return body[start:end].rstrip(b" "), end
