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
from pipeline.store.rows import read_lineages, without_absorbed
from pipeline.store.statements import TABLE

_FIRST_WINDOW, _WIDEST_WINDOW = 500, 5_000
"""Raw rows looked at in one step; more each time that little was found."""
_END_US = 9_000_000_000_000_000
"""Later than any time that a row can have (year 2255)."""
_ASKED_AT_ONCE = 100
"""Ids in one question: they travel in its address."""
_NEWEST_FIRST = "start_time DESC, request_id, rec_id"


def search(client: Client, wanted: Wanted) -> Iterator[Lineage]:
    """Give live lineages that are as wanted, newest first, as they are asked for.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    condition = condition_of(wanted)
    before_us, rows = _END_US, _FIRST_WINDOW
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
    orphans = [row for row in rows if row.edge is None]
    if not orphans:
        return list(rows)
    owners: list[Lineage] = []
    for first in range(0, len(orphans), _ASKED_AT_ONCE):
        asked = orphans[first : first + _ASKED_AT_ONCE]
        attempts = [attempt for row in asked for attempt in row.attempts]
        request_ids = {one for attempt in attempts for one in attempt.request_ids}
        gateway_ids = {attempt.gateway_request_id for attempt in attempts if attempt.gateway_request_id}
        owners += read_lineages(
            client,
            f"(bucket, request_id) IN ({_OWNERS}) AND has_edge "
            "AND hasAny(`attempts.attempt_id`, {attempts:Array(UInt64)})",
            {
                "request_ids": sorted(request_ids),
                "gateway_ids": sorted(gateway_ids),
                "attempts": [attempt.attempt_id for attempt in attempts],
            },
        )
    asked_for = {id(row) for row in rows}
    return [row for row in without_absorbed([*rows, *owners]) if id(row) in asked_for]


_OWNERS = (
    f"SELECT bucket, request_id FROM {TABLE} WHERE has_edge AND request_id IN {{request_ids:Array(String)}} "  # noqa: S608
    f"UNION ALL SELECT bucket, request_id FROM {TABLE} "
    "WHERE has_edge AND hasAny(gateway_request_ids, {gateway_ids:Array(String)})"
)
"""Rows with an edge record that share an id with an orphan; each part goes through its own index."""
