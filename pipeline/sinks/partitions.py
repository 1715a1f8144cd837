"""PURE: cuts rows so that no insert spans more days than ClickHouse takes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from pipeline.model import Lineage

_T = TypeVar("_T")

MOST_PARTITIONS = 100
"""ClickHouse refuses a block that spans more (`max_partitions_per_insert_block`)."""
_DAY_S = 86_400
_DAY_NS = _DAY_S * 10**9


def partitioned(rows: Sequence[Lineage]) -> Iterator[Sequence[Lineage]]:
    """Cut lineages by day of their bucket, tombstones after all others; order is kept within a day."""
    if len(days_of(rows)) <= MOST_PARTITIONS:
        yield rows
        return
    for tombstones in (False, True):
        kept = [row for row in rows if row.is_deleted is tombstones]
        yield from by_day(kept, lambda row: row.bucket_s // _DAY_S)


def days_of(rows: Iterable[Lineage]) -> set[int]:
    """Give the partitions of lineages, days of the epoch."""
    return {row.bucket_s // _DAY_S for row in rows}


def by_day(rows: Sequence[_T], day_of: Callable[[_T], int]) -> Iterator[Sequence[_T]]:
    """Cut rows so that no part spans more days than one insert may; order is kept within a day."""
    ordered = sorted({day_of(row) for row in rows})
    if len(ordered) <= MOST_PARTITIONS:
        yield rows
        return
    for start in range(0, len(ordered), MOST_PARTITIONS):
        wanted = set(ordered[start : start + MOST_PARTITIONS])
        yield [row for row in rows if day_of(row) in wanted]


def day_of_arrival(arrival_ns: int) -> int:
    """Give the partition of an event or a dead letter, days of the epoch."""
    return arrival_ns // _DAY_NS
