"""How lineages are searched: newest first, in windows of time.

Values travel as bound parameters, never as text of a statement. A window is found first by a cheap look at
raw rows (`LIMIT` over their start times); then the keys of matching raw rows in it are read with `FINAL`. The
newest version of a row is among its raw rows, so that no row is missed, and none is given twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clickhouse_connect.driver import Client

from pipeline.model import Lineage
from pipeline.store.conditions import Condition, Wanted, condition_of
from pipeline.store.statements import TABLE
from pipeline.store.stored_rows import read_lineages, without_absorbed

_FIRST_WINDOW, _WIDEST_WINDOW = 500, 5_000
"""Raw rows looked at in one step; more each time that little was found."""
_END_US = 9_000_000_000_000_000
"""Later than any time that a row can have (year 2255)."""
_ASKED_AT_ONCE = 500
"""Orphans in one question: the numbers of their attempts travel in its address."""
_SPAN_S = 2 * 3600
"""How far the buckets of two halves of a request may be apart: an hour's beside an exact one, an hour off."""
_LAST_BUCKET = 2**32 - 1
_NEWEST_FIRST = "start_time DESC, request_id, rec_id"


def search(client: Client, wanted: Wanted, at_first: int = _FIRST_WINDOW) -> Iterator[Lineage]:
    """Give live lineages that are as wanted, newest first, as they are asked for.

    Args:
        client: Any client of the store.
        wanted: What they must be like.
        at_first: Raw rows looked at in the first step: about as many as are wanted at all, where few are. Rows
            far apart are each read with all their neighbours.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    condition = condition_of(wanted)
    before_us, rows = _END_US, max(1, min(at_first, _FIRST_WINDOW))
    while (window := _window(client, condition, before_us, rows)) is not None:
        from_us, looked_at = window
        yield from _within(client, condition, from_us, before_us)
        if looked_at < rows:
            return
        before_us, rows = from_us, min(2 * rows, _WIDEST_WINDOW)


def _window(client: Client, condition: Condition, before_us: int, rows: int) -> tuple[int, int] | None:
    """Find where the so many newest raw rows before a time begin, and how many they are; None without any."""
    query = (
        "SELECT toUnixTimestamp64Micro(min(start_time)), count() FROM "  # noqa: S608 -- values are parameters
        f"(SELECT start_time FROM {TABLE} WHERE {condition.sql} AND {_BEFORE} "
        f"ORDER BY start_time DESC LIMIT {rows:d})"
    )
    ((from_us, count),) = client.query(query, {**condition.parameters, "before": before_us}).result_rows
    return (int(from_us), int(count)) if count else None


_BEFORE = "start_time < fromUnixTimestamp64Micro({before:Int64}, 'UTC')"
_FROM = "start_time >= fromUnixTimestamp64Micro({from:Int64}, 'UTC')"


def _within(client: Client, condition: Condition, from_us: int, before_us: int) -> list[Lineage]:
    """Read what starts in a window, by the two-step rule."""
    inside = f"{condition.sql} AND {_FROM} AND {_BEFORE}"
    keys = f"SELECT bucket, request_id FROM {TABLE} WHERE {inside}"  # noqa: S608 -- values are parameters
    found = read_lineages(
        client,
        f"(bucket, request_id) IN ({keys}) AND {inside}",
        {**condition.parameters, "from": from_us, "before": before_us},
        order=_NEWEST_FIRST,
    )
    return hide_absorbed(client, found)


def hide_absorbed(client: Client, rows: Sequence[Lineage]) -> list[Lineage]:
    """Leave out orphans that stand beside an edge record in a row that was not asked for."""
    orphans = sorted((row for row in rows if row.edge is None), key=lambda row: row.bucket_s)
    owners: list[Lineage] = []
    for first in range(0, len(orphans), _ASKED_AT_ONCE):
        asked = orphans[first : first + _ASKED_AT_ONCE]
        owners += read_lineages(
            client,
            f"(bucket, request_id) IN ({_OWNERS}) AND {_OWNS}",
            {
                "first": max(0, asked[0].bucket_s - _SPAN_S),
                "last": min(_LAST_BUCKET, asked[-1].bucket_s + _SPAN_S),
                "attempts": [attempt.attempt_id for row in asked for attempt in row.attempts],
            },
        )
    asked_for = {id(row) for row in rows}
    return [row for row in without_absorbed([*rows, *owners]) if id(row) in asked_for]


_OWNS = "has_edge AND hasAny(`attempts.attempt_id`, {attempts:Array(UInt64)})"
_OWNERS = (
    f"SELECT bucket, request_id FROM {TABLE} WHERE bucket BETWEEN toDateTime({{first:UInt32}}, 'UTC') "  # noqa: S608
    f"AND toDateTime({{last:UInt32}}, 'UTC') AND {_OWNS}"
)
"""Rows near some orphans that hold one of their attempts beside an edge record."""
