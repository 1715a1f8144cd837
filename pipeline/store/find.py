"""How a lineage is found by any of its ids: the request's, the gateway's, the trace's, or a prefix of one.

A whole id is looked for everywhere, in `lineage_ids`, which says in what rows it may be; a prefix has no index and
is looked for in the newest part of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clickhouse_connect.driver import Client

from pipeline.model import Lineage, StoreKey
from pipeline.store.places import IN_BUCKETS, IS_ONE, Place, at, find_places
from pipeline.store.search import hide_absorbed
from pipeline.store.statements import FORMAT, TABLE, select_list
from pipeline.store.stored_rows import decode_lineages, read_lineages, without_absorbed

SHORTEST_PREFIX = 6
MOST = 1000
"""Lineages given for one id: a trace may have many."""
_MOST_LOOKS = 5
_OLDEST_FIRST = "start_time, request_id, rec_id"

_BEGINNINGS = (
    "startsWith(request_id, {id:String})",
    "startsWith(trace_id, {trace_id:String})",
    "arrayExists(one -> startsWith(one, {id:String}), gateway_request_ids)",
)
_SINCE = "bucket >= toDateTime({since:UInt32}, 'UTC')"

_ROWS = f"SELECT {select_list()} FROM {TABLE} FINAL PREWHERE {IN_BUCKETS} AND {IS_ONE}"  # noqa: S608 -- values are parameters
_OF_TRACE = f"{_ROWS} WHERE span_trace_id = {{trace_id:String}}"


class Found(NamedTuple):
    """What was found, and how it was looked for."""

    lineages: list[Lineage]
    """Oldest first, at most `MOST`."""
    by_prefix: bool
    """No whole id was found; these begin with it."""
    since_s: int | None
    """UTC epoch seconds from which on prefixes were looked for; None where they were not."""


def find(client: Client, text: str, trace_id: str | None, prefix_span_s: int) -> Found:
    """Find lineages by an id as a person has it.

    Args:
        client: Any client of the store.
        text: A request id, gateway request id, trace id, or a prefix of 6 characters or more of one of them.
        trace_id: The trace id, where `text` is a `traceparent`.
        prefix_span_s: How far back from the newest data a prefix is looked for, seconds.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    ids = {"id": text, "trace_id": trace_id or text.lower()}
    lineages = _by_id(client, ids)
    if lineages or trace_id or len(text) < SHORTEST_PREFIX:
        return Found(hide_absorbed(client, lineages), by_prefix=False, since_s=None)
    since_s = max(0, newest_bucket_s(client) - prefix_span_s)
    begins = f"{_SINCE} AND ({' OR '.join(_BEGINNINGS)})"
    keys = f"SELECT bucket, request_id FROM {TABLE} WHERE {begins}"  # noqa: S608 -- values are parameters
    lineages = read_lineages(
        client,
        f"(bucket, request_id) IN ({keys}) AND {begins}",
        {**ids, "since": since_s},
        order=_OLDEST_FIRST,
        limit=MOST,
    )
    return Found(hide_absorbed(client, lineages), by_prefix=True, since_s=since_s)


def _by_id(client: Client, ids: Mapping[str, str]) -> list[Lineage]:
    """Find rows by an id: where they may be, then what is there. In one statement it takes twice as long.

    Where a row was buried in between, what took its place stands elsewhere: then it is looked for again.
    """
    places, rows = _places(client, ids), list[Lineage]()
    for _ in range(_MOST_LOOKS):
        rows = _rows(client, ids, places)
        if len(rows) == len(places) or (now := _places(client, ids)) == places:
            break
        places = now
    return without_absorbed(sorted(rows, key=_by_start)[:MOST])


def _places(client: Client, ids: Mapping[str, str]) -> set[Place]:
    return find_places(client, set(ids.values()), MOST)


def _rows(client: Client, ids: Mapping[str, str], places: set[Place]) -> list[Lineage]:
    """Read what is at some places, and leave out what has another id."""
    if not places:
        return []
    there = decode_lineages(client.raw_query(_ROWS, parameters=at(places), fmt=FORMAT))
    rows = [row for row in there if ids["id"] in row.ids() or ids["trace_id"] in _traces(row)]
    if len(rows) < len(there):  # perhaps the trace that was made for their spans
        rows += decode_lineages(client.raw_query(_OF_TRACE, parameters={**ids, **at(places)}, fmt=FORMAT))
    return list({StoreKey(row.bucket_s, row.request_id, row.rec_id): row for row in rows}.values())


def _traces(row: Lineage) -> set[str | None]:
    return {row.trace_id, *(attempt.trace_id for attempt in row.attempts)}


def _by_start(row: Lineage) -> tuple[int, str, int]:
    start_us = row.edge.start_us if row.edge is not None else min(one.started_us for one in row.attempts)
    return start_us, row.request_id, row.rec_id


def newest_bucket_s(client: Client) -> int:
    """Give the newest bucket, UTC epoch seconds; 0 for an empty store."""
    ((newest,),) = client.query(f"SELECT toUnixTimestamp(max(bucket)) FROM {TABLE}").result_rows  # noqa: S608
    return int(newest)
