"""Which buckets held rows when a store was opened.

Read once, so that a look-up is asked for only where something can be found.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.store.connection import Connection, answering

HOUR_S = 3600
_MINUTE_S = 60


class Held:
    """Minutes, and whole hours, for which rows are there.

    A bucket that is a whole hour comes from a record's own start, and its other half's may be one hour off;
    any other is exact. See `pipeline/join/bucket.py`.

    Args:
        minutes: Epoch minutes of exact buckets.
        hours: Epoch hours of whole-hour buckets.
    """

    def __init__(self, minutes: Iterable[int], hours: Iterable[int]) -> None:
        self._minutes = frozenset(minutes)
        self._hours = frozenset(hours)
        self._any_in_hour = self._hours | {minute // 60 for minute in self._minutes}

    def near(self, bucket_s: int) -> bool:
        """Whether a row of the same request may be among them."""
        hour, seconds = divmod(bucket_s, HOUR_S)
        if seconds == 0:
            return not self._any_in_hour.isdisjoint((hour - 1, hour, hour + 1))
        if bucket_s // _MINUTE_S in self._minutes:
            return True
        return not self._hours.isdisjoint((hour - 1, hour, hour + 1))


def read_held(connection: Connection) -> Held:
    """Ask a store what it holds.

    Raises:
        StoreUnavailable: It did not answer.
    """
    minutes, hours = set(), set()
    with answering():
        rows = connection.client.query(
            "SELECT DISTINCT toUInt32(bucket) % 3600 = 0 AS is_hour, intDiv(toUInt32(bucket), 60) AS minute "
            "FROM lineage_rows"
        ).result_rows
    for is_hour, minute in rows:
        if is_hour:
            hours.add(minute // 60)
        else:
            minutes.add(minute)
    return Held(minutes, hours)
