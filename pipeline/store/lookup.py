"""Finds what is already stored of a request: by its ids, near its bucket.

Two steps in one statement: keys through the skip indexes without FINAL, then FINAL on those keys alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.contracts import LookupKey
from pipeline.model import Lineage
from pipeline.store.connection import Connection, answering
from pipeline.store.held import HOUR_S
from pipeline.store.rows import BUCKETS, decode_lineages
from pipeline.store.statements import FORMAT, TABLE, select_list

_AT_ONCE = 4000
"""Keys of one statement."""
_FEW = 100
"""Ids that are worth asking the skip indexes for; more of them touch every granule of their buckets anyway."""
_MOST_RANGES = 50


class Where(NamedTuple):
    """A condition and the values of its parameters."""

    text: str
    parameters: dict[str, Any]


def find_stored(connection: Connection, keys: Sequence[LookupKey]) -> list[Lineage]:
    """Give every row, no tombstones, that shares a request id, a gateway request id or its name with any of the keys.

    An orphan whose attempts stand elsewhere comes too: whoever unites the rows is to bury it.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    found: dict[tuple[int, str, int], Lineage] = {}
    for chunk in chunks(keys):
        near, shares = buckets(chunk), condition(chunk)
        query = (
            f"SELECT {select_list()} FROM {TABLE} FINAL WHERE {near.text} AND (bucket, request_id, rec_id) IN "  # noqa: S608 -- values are parameters
            f"(SELECT bucket, request_id, rec_id FROM {TABLE} WHERE {near.text} AND ({shares.text}))"
        )
        with answering():
            parameters = near.parameters | shares.parameters
            lines = connection.client.raw_query(query, parameters=parameters, fmt=FORMAT)
        for row in decode_lineages(lines):
            found[row.bucket_s, row.request_id, row.rec_id] = row
    return list(found.values())


def chunks(keys: Sequence[LookupKey]) -> Iterator[list[LookupKey]]:
    """Cut keys, in order of their buckets, into statements of bounded size and few ranges of buckets."""
    chunk: list[LookupKey] = []
    hours: set[int] = set()
    for key in sorted(keys, key=lambda key: key.bucket_s):
        hour = key.bucket_s // HOUR_S
        if chunk and (len(chunk) >= _AT_ONCE or (hour not in hours and len(hours) >= _MOST_RANGES)):
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
            parameters[name] = sorted(ids)
    if rec_ids:
        parts.append("rec_id IN {recs:Array(UInt64)}")
        parameters["recs"] = sorted(rec_ids)
    return Where(" OR ".join(parts) or "0", parameters)


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
