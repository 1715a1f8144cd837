"""When a record's request began, found without reading the record: for merging files by time."""

from __future__ import annotations

import re

from pipeline.formats.times import Dates

_STARTED_AT = b'"started_at":'
_REQ_US = b'"req_us":"'
_ACC = b'"acc":"'
_DATE = re.compile(rb"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?:\.\d{3})?(?: [+-]\d{4})?)\]")
_DIGITS = re.compile(rb"\d{10,16}")


def peek_haproxy_start_us(body: bytes, dates: Dates) -> int | None:
    """Find the start of a HAProxy line's request; None where the line shows none."""
    at = body.find(_REQ_US)
    if at >= 0 and (found := _DIGITS.match(body, at + len(_REQ_US))):
        return int(found[0])
    at = body.find(_ACC)
    if at >= 0 and (found := _DIGITS.match(body, at + len(_ACC))):
        return int(found[0]) * 1_000_000
    date = _DATE.search(body, 0, 1024)
    return dates.local_us(date[1].decode("ascii")) if date else None


def peek_kong_start_us(body: bytes) -> int | None:
    """Find `started_at` of an entry; None where it shows none."""
    at = body.rfind(_STARTED_AT)  # near the end, and a client can write it only in front of the true one
    found = _DIGITS.match(body, at + len(_STARTED_AT)) if at >= 0 else None
    return int(found[0]) * 1000 if found else None
