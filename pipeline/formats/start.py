"""When a record's request began, found without reading the record: for merging files by time."""

from __future__ import annotations

import re

from pipeline.formats.times import Dates

_STARTED_AT = re.compile(rb'"started_at":\s?(\d{10,16})')
_KEYS = ((b'"req_us":"', 1), (b'"acc_us":"', 1), (b'"acc":"', 1_000_000))
"""Keys of the recommended line, and microseconds of their unit."""
_DATE = re.compile(rb"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?:\.\d{3}| [+-]\d{4})?")
_DIGITS = re.compile(rb"\d{10,16}")


def peek_haproxy_start_us(body: bytes, dates: Dates) -> int | None:
    """Find the start of a HAProxy line's request; None where the line shows none."""
    for key, unit_us in _KEYS:
        at = body.find(key)
        if at >= 0 and (found := _DIGITS.match(body, at + len(key))):
            return int(found[0]) * unit_us
    date = _DATE.search(body, 0, 1024)
    return dates.local_us(date[0].decode("ascii")) if date else None


def peek_kong_start_us(body: bytes) -> int | None:
    """Find `started_at` of an entry; None where it shows none.

    A client cannot write it: within a string its quotes would be escaped.
    """
    found = _STARTED_AT.search(body)
    return int(found[1]) * 1000 if found else None
