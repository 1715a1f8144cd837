"""The time that names a row's place in the store; the same from either half of a request.

Nothing here may depend on when a record arrived or on what was learnt before, or one record gets two rows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from pipeline.model import EdgeRecord, GatewayRecord

_DAY_US = 86_400 * 1_000_000
_HOUR_S = 3600
_ID_DIGITS = 32
ODD_REQUEST_START = "odd_request_start"
ODD_ID_TIME = "odd_id_time"


class Bucket(NamedTuple):
    """A bucket and how it was found."""

    second: int
    """UTC epoch seconds."""
    is_hour: bool
    """From the record's own start: the other half's may be one hour off."""
    flags: tuple[str, ...] = ()


def bucket_of_edge(record: EdgeRecord) -> Bucket:
    """Find the bucket of an edge record."""
    return _bucket(record.start_us, record.request_start_us, record.request_id)


def bucket_of_gateway(record: GatewayRecord, request_id: str) -> Bucket:
    """Find the bucket of a gateway record under one of its request ids (empty: it has none)."""
    return _bucket(record.started_us, record.request_start_us, request_id)


def _bucket(start_us: int, request_start_us: int | None, request_id: str) -> Bucket:
    """Take `X-Request-Start`, else the time in a UUIDv7 (RFC 9562 5.7), else the hour of the record's start.

    A header or id time more than a day from the record's own start is not believed.
    """
    flags: tuple[str, ...] = ()
    if request_start_us is not None:
        if -_DAY_US < request_start_us - start_us < _DAY_US:
            return _exact(request_start_us // 1_000_000)
        flags = (ODD_REQUEST_START,)
    id_us = uuid7_us(request_id)
    if id_us is not None:
        if abs(id_us - start_us) < _DAY_US:
            return Bucket(id_us // 1_000_000, is_hour=False, flags=flags)
        flags = (*flags, ODD_ID_TIME)
    second = start_us // 1_000_000
    return Bucket(second - second % _HOUR_S, is_hour=True, flags=flags)


@lru_cache(maxsize=1024)
def _exact(second: int) -> Bucket:
    return Bucket(second, is_hour=False)


def uuid7_us(text: str) -> int | None:
    """Read the time of a UUIDv7, microseconds; None for anything else."""
    digits = text.replace("-", "")
    if len(digits) != _ID_DIGITS or digits[12] != "7" or digits[16] not in "89abAB":
        return None
    try:
        return int(digits[:12], 16) * 1000
    except ValueError:
        return None
