"""Finds what is already stored of a request: by its ids, near its bucket.

Two steps: where the rows may be, as `lineage_ids` says, then `FINAL` on those places alone. Where more than a
thousand are asked for at once and they are most of what their buckets hold, as in a replay whose files come one
after the other, the buckets are read whole instead: naming the ids costs more than the rows that are read for
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.contracts import LookupKey
from pipeline.model import Lineage
from pipeline.store.connection import Connection, answering
from pipeline.store.held import HOUR_S
from pipeline.store.places import IN_BUCKETS, IS_ONE, at, find_places, lower_half
from pipeline.store.rows import BUCKETS
from pipeline.store.statements import FORMAT, TABLE, select_list
from pipeline.store.stored_rows import decode_lineages

_AT_ONCE = 4000
"""Keys of one statement that names their ids."""
_MANY = 1000
"""Keys that may be worth reading their buckets whole."""
_AT_ONCE_WHOLE = 20_000
"""Keys of one statement that reads their buckets whole: all its rows are in memory at once."""
_SHARE = 3
"""Rows read for each key that is asked for, superseded ones included, where buckets are read whole."""
_FEW = 100
"""Ids that are worth asking the skip indexes for; more of them touch every granule of their buckets anyway."""
_MOST_RANGES = 50


class Where(NamedTuple):
    """A condition and the values of its parameters."""

    text: str
    parameters: dict[str, Any]
    shared: str = ""
    """Which ids a row shares, an array of text, SQL."""


def find_stored(connection: Connection, keys: Sequence[LookupKey], most_per_id: int) -> list[Lineage]:
    """Give the rows, no tombstones, that share a request id, a gateway request id or their name with any of the keys.

    Of an id that more rows share, `most_per_id` come: constants that clients send may be on a whole day's rows.
    An orphan whose attempts stand elsewhere comes too: whoever unites the rows is to bury it.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    found: dict[tuple[int, str, int], Lineage] = {}
    asked = [key for key in keys if key.request_ids or key.gateway_request_ids or key.rec_ids]
    for chunk in chunks(asked, _AT_ONCE if len(asked) <= _MANY else _AT_ONCE_WHOLE):
        near = buckets(chunk)
        if len(chunk) > _MANY and _count(connection, near) <= _SHARE * len(chunk):
            rows = _select(connection, near)
        else:
            rows = [row for part in chunks(chunk) for row in _by_ids(connection, part, most_per_id)]
        found.update(((row.bucket_s, row.request_id, row.rec_id), row) for row in _sharing(rows, chunk))
    return list(found.values())


def _by_ids(connection: Connection, keys: Sequence[LookupKey], most_per_id: int) -> list[Lineage]:
    near = buckets(keys)
    ids = {one for key in keys for one in (*key.request_ids, *key.gateway_request_ids)}
    names = [lower_half(rec_id) for key in keys for rec_id in key.rec_ids]
    with answering():
        places = (
            find_places(connection.client, ids, most_per_id, near.text, near.parameters) if ids else set()
        )
    there = at(places)
    there["recs"] += names
    if not there["recs"]:
        return []
    # A name alone does not say in which of the near buckets its row is.
    where = f"{near.text} AND {IS_ONE}" if names else f"{IN_BUCKETS} AND {IS_ONE}"
    return _select(connection, Where(where, near.parameters | there if names else there))


def _count(connection: Connection, where: Where) -> int:
    """Count rows, superseded ones too: the index alone nearly answers it."""
    with answering():
        return int(
            connection.client.query(
                f"SELECT count() FROM {TABLE} WHERE {where.text}",  # noqa: S608 -- values are parameters
                where.parameters,
            ).result_rows[0][0]
        )


def _select(connection: Connection, where: Where) -> list[Lineage]:
    query = f"SELECT {select_list()} FROM {TABLE} FINAL PREWHERE {where.text}"  # noqa: S608 -- values are parameters
    with answering():
        return decode_lineages(connection.client.raw_query(query, parameters=where.parameters, fmt=FORMAT))


def _sharing(rows: Iterable[Lineage], keys: Sequence[LookupKey]) -> Iterator[Lineage]:
    """Leave out the rows that share nothing with any key."""
    request_ids = {one for key in keys for one in key.request_ids}
    gateway_ids = {one for key in keys for one in key.gateway_request_ids}
    rec_ids = {one for key in keys for one in key.rec_ids}
    for row in rows:
        edge, attempts = row.edge, row.attempts
        if (
            row.request_id in request_ids
            or (edge is not None and edge.gateway_request_id in gateway_ids)
            or any(one.gateway_request_id in gateway_ids for one in attempts)
            or any(one in request_ids for attempt in attempts for one in attempt.request_ids)
            or row.rec_id in rec_ids
        ):
            yield row


def chunks(keys: Sequence[LookupKey], at_once: int = _AT_ONCE) -> Iterator[list[LookupKey]]:
    """Cut keys, in order of their buckets, into statements of bounded size and few ranges of buckets."""
    chunk: list[LookupKey] = []
    hours: set[int] = set()
    for key in sorted(keys, key=lambda key: key.bucket_s):
        hour = key.bucket_s // HOUR_S
        if chunk and (len(chunk) >= at_once or (hour not in hours and len(hours) >= _MOST_RANGES)):
            yield chunk
            chunk, hours = [], set()
        chunk.append(key)
        hours.add(hour)
    if chunk:
        yield chunk


def condition(keys: Iterable[LookupKey]) -> Where:
    """Say which rows share an id with any of the keys."""
    request_ids = {request_id for key in keys for request_id in key.request_ids}
    gateway_ids = {gateway_id for key in keys for gateway_id in key.gateway_request_ids}
    rec_ids = {rec_id for key in keys for rec_id in key.rec_ids}
    parts: list[str] = []
    shared: list[str] = []
    parameters: dict[str, Any] = {}
    for name, column, ids in (
        ("rids", "request_ids", request_ids),
        ("gids", "gateway_request_ids", gateway_ids),
    ):
        if ids:
            given = f"{{{name}:Array(String)}}"
            # hasAny compares each with each, but asks the skip index; a set is looked up.
            few = len(ids) <= _FEW
            parts.append(f"hasAny({column}, {given})" if few else f"arrayExists(x -> x IN {given}, {column})")
            shared.append(f"arrayFilter(x -> x IN {given}, {column})")
            parameters[name] = sorted(ids)
    if rec_ids:
        parts.append("rec_id IN {recs:Array(UInt64)}")
        shared.append("[toString(rec_id)]")
        parameters["recs"] = sorted(rec_ids)
    return Where(" OR ".join(parts) or "0", parameters, f"arrayConcat({', '.join(shared)})")


def buckets(keys: Iterable[LookupKey]) -> Where:
    """Say in which buckets rows of the keys can be: their own; near a whole hour, that and one hour either way.

    An exact bucket's other half may lack what it was made of, and then has a whole hour.
    """
    points: set[int] = set()
    ranges: list[list[int]] = []
    for key in keys:
        hour = key.bucket_s - key.bucket_s % HOUR_S
        if key.bucket_s != hour:
            points.update((key.bucket_s, hour - HOUR_S, hour, hour + HOUR_S))
            continue
        low, high = hour - HOUR_S, hour + 2 * HOUR_S
        if ranges and ranges[-1][0] <= low <= ranges[-1][1]:
            ranges[-1][1] = max(high, ranges[-1][1])
        else:
            ranges.append([low, high])
    parts = [
        f"(bucket >= {max(low, 0):d} AND bucket < {min(high, BUCKETS.stop - 1):d})" for low, high in ranges
    ]
    if points:
        parts.append("bucket IN {points:Array(UInt32)}")
    known = sorted(point for point in points if point in BUCKETS)
    return Where(f"({' OR '.join(parts)})" if parts else "0", {"points": known} if points else {})
