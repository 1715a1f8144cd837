"""Closed minutes, counted: which are to be counted anew, and the statement that does it.

A minute is never added to: it is made from all its lineages, whenever one of them has changed. So it may be made
again at any time, by anybody, and says the same. What changed is remembered in `lineage_minute_marks`, a mark for
each minute and writer, put there before the lineages are written; a kill forgets nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipeline.store.connection import Connection, answering
from pipeline.store.statements import TABLE

MINUTES = "lineage_minute_versions"
MARKS = "lineage_minute_marks"
MINUTE_S = 60

_MOST_MINUTES = 120
"""Of one statement, which then spans a few hours at most; their digests are in memory at once."""
_LONGEST_GAP = 180
"""Minutes between two that one statement makes."""
_MOST_HOSTS = 200
"""Host headers counted by name in one statement, the most frequent ones: a client can make up any number."""
OTHER_HOSTS = "(other)"
_BUCKET_MARGIN_S = 90_000
"""How far a bucket may be from its lineage's start: a day, and the hour that it may be rounded down by."""
_LAST_BUCKET = 2**32 - 1

_KEY = "minute, service, route, host, outcome, missing, status_class"
_SUMS = "requests, errors, attempts, tries, request_bytes, response_bytes"
_STATES = ("duration", "edge", "gateway", "upstream")
_LEVELS = "0.5, 0.9, 0.95, 0.99"
_IN_MINUTES = "toStartOfMinute(start_time) IN {minutes:Array(DateTime('UTC'))}"
_WHERE = (
    "bucket BETWEEN toDateTime({first:UInt32}, 'UTC') AND toDateTime({last:UInt32}, 'UTC') "
    "AND start_time >= toDateTime({from:UInt32}, 'UTC') AND start_time < toDateTime({until:UInt32}, 'UTC') "
    f"AND {_IN_MINUTES}"
)
_HOSTS = (
    f"SELECT host FROM {TABLE} WHERE {_WHERE} GROUP BY host ORDER BY count() DESC, host "  # noqa: S608 -- values are parameters
    f"LIMIT {_MOST_HOSTS}"
)
_COUNTED = f"""
    SELECT toStartOfMinute(start_time) AS minute, toString(service) AS service, toString(route) AS route,
        if(host IN {{hosts:Array(String)}}, toString(host), '{OTHER_HOSTS}') AS host,
        toString(outcome) AS outcome, toString(missing) AS missing,
        toUInt8(least(intDiv(status, 100), 255)) AS status_class,
        1 AS requests,
        status >= 500 OR `verdict.domain` IN ('edge', 'gateway', 'upstream', 'network') AS errors,
        length(`attempts.attempt_id`) AS attempts, length(`tries.attempt`) AS tries,
        greatest(ifNull(request_bytes, 0), 0) AS request_bytes,
        greatest(ifNull(response_bytes, 0), 0) AS response_bytes,
        toNullable(duration_ms) AS duration,
        if(has_edge AND isNotNull(`attempts.latencies.request`[shown]),
            greatest(duration_ms - `attempts.latencies.request`[shown], 0), NULL) AS edge,
        `attempts.latencies.kong`[shown] AS gateway, `attempts.latencies.proxy`[shown] AS upstream
    FROM {TABLE} FINAL WHERE {_WHERE}
"""  # noqa: S608 -- values are parameters
_COUNTED_BEFORE = f"""
    SELECT minute, toString(service), toString(route), toString(host), toString(outcome), toString(missing),
        status_class, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL
    FROM {MINUTES} FINAL WHERE minute IN {{minutes:Array(DateTime('UTC'))}}
"""  # noqa: S608 -- values are parameters
_VERSION = (
    f"toUInt64(greatest(toUnixTimestamp64Micro(now64(6)), toInt64((SELECT max(version) + 1 FROM {MINUTES} "  # noqa: S608
    "WHERE minute IN {minutes:Array(DateTime('UTC'))}))))"
)
"""Higher than before, also where a clock went back."""
_COUNT = (
    f"INSERT INTO {MINUTES} ({_KEY}, version, is_deleted, {_SUMS}, {', '.join(_STATES)}) "  # noqa: S608 -- values are parameters
    f"SELECT {_KEY}, {_VERSION}, sum(requests) = 0, "
    + ", ".join(f"sum({name})" for name in _SUMS.split(", "))
    + "".join(f", quantilesTDigestState({_LEVELS})({name})" for name in _STATES)
    + f" FROM ({_COUNTED} UNION ALL {_COUNTED_BEFORE}) GROUP BY {_KEY}"
)
"""What was counted before comes in with nothing, so that a key which is no more is buried."""


def count_minutes(connection: Connection, minutes: Sequence[int]) -> None:
    """Count minutes anew, in statements of bounded size.

    Args:
        connection: Used by one thread.
        minutes: UTC epoch minutes, in any order.

    Raises:
        StoreUnavailable: Some were counted, or none; to count all again does no harm.
    """
    for part in stretches(sorted(set(minutes))):
        seconds = [minute * MINUTE_S for minute in part]
        parameters = {
            "minutes": seconds,
            "from": seconds[0],
            "until": seconds[-1] + MINUTE_S,
            "first": max(0, seconds[0] - _BUCKET_MARGIN_S),
            "last": min(_LAST_BUCKET, seconds[-1] + _BUCKET_MARGIN_S),
        }
        with answering():
            hosts = [str(host) for (host,) in connection.client.query(_HOSTS, parameters).result_rows]
            connection.client.command(_COUNT, parameters | {"hosts": hosts})


def stretches(minutes: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut rising minutes into parts of one statement each: few of them, and near each other."""
    start = 0
    for at in range(1, len(minutes) + 1):
        is_end = at == len(minutes) or at - start >= _MOST_MINUTES
        if is_end or minutes[at] - minutes[at - 1] > _LONGEST_GAP:
            yield minutes[start:at]
            start = at


def minutes_since(connection: Connection, since_s: int | None) -> list[int]:
    """Give the minutes that have lineages, from a time on, UTC epoch seconds; all without one.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    parameters = {"from": since_s or 0, "first": max(0, (since_s or 0) - _BUCKET_MARGIN_S)}
    with answering():
        rows = connection.client.query(
            f"SELECT DISTINCT intDiv(toUnixTimestamp(toStartOfMinute(start_time)), 60) FROM {TABLE} "  # noqa: S608
            "WHERE bucket >= toDateTime({first:UInt32}, 'UTC') AND start_time >= toDateTime({from:UInt32}, 'UTC')",
            parameters,
        ).result_rows
    return [int(minute) for (minute,) in rows]


def marked(connection: Connection) -> dict[int, set[int]]:
    """Give the minutes that are to be counted anew, and who marked each.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    return {minute: set(versions) for minute, versions in marks_by_minute(connection).items()}


def marks_by_minute(connection: Connection) -> dict[int, dict[int, int]]:
    """Give the minutes that are to be counted anew, and the version of each writer's mark.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    with answering():
        rows = connection.client.query(
            f"SELECT intDiv(toUnixTimestamp(minute), 60), writer, version FROM {MARKS} FINAL"  # noqa: S608 -- our name
        ).result_rows
    found: dict[int, dict[int, int]] = {}
    for minute, writer, version in rows:
        found.setdefault(int(minute), {})[int(writer)] = int(version)
    return found


def mark(
    connection: Connection, marks: Iterable[tuple[int, int]], version: int, *, is_deleted: bool = False
) -> None:
    """Mark minutes, or take marks away.

    Args:
        connection: Used by one thread.
        marks: UTC epoch minute and writer of each.
        version: Rises with each change of a mark; epoch nanoseconds do.
        is_deleted: Take away what has no higher version.

    Raises:
        StoreUnavailable: Nothing, or not everything, was marked.
    """
    _put(connection, [[minute * MINUTE_S, writer, version, int(is_deleted)] for minute, writer in marks])


def unmark(connection: Connection, marks: Iterable[tuple[int, int, int]]) -> None:
    """Take marks away unless they have been set anew: UTC epoch minute, writer and version of each.

    Raises:
        StoreUnavailable: Nothing, or not everything, was taken away.
    """
    _put(connection, [[minute * MINUTE_S, writer, version + 1, 1] for minute, writer, version in marks])


def _put(connection: Connection, rows: Sequence[Sequence[int]]) -> None:
    if rows:
        with answering():
            connection.client.insert(
                MARKS,
                rows,
                column_names=["minute", "writer", "version", "is_deleted"],
                column_type_names=["UInt32", "UInt64", "UInt64", "UInt8"],
            )
