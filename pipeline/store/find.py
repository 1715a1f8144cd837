"""How a lineage is found by any of its ids: the request's, the gateway's, the trace's, or a prefix of one.

A whole id is looked for everywhere, through the index of its column; a prefix has no index and is looked for
in the newest part of the data.
"""

from __future__ import annotations

from typing import NamedTuple

from clickhouse_connect.driver import Client

from pipeline.model import Lineage
from pipeline.store.rows import read_lineages
from pipeline.store.search import hide_absorbed
from pipeline.store.statements import TABLE

SHORTEST_PREFIX = 6
MOST = 1000
"""Lineages given for one id: a trace may have many."""
_OLDEST_FIRST = "start_time, request_id, rec_id"

_IDS = (
    "request_id = {id:String}",
    "trace_id = {trace_id:String}",
    "has(gateway_request_ids, {id:String})",
)
_BEGINNINGS = (
    "startsWith(request_id, {id:String})",
    "startsWith(trace_id, {trace_id:String})",
    "arrayExists(one -> startsWith(one, {id:String}), gateway_request_ids)",
)
_KEYS = " UNION ALL ".join(
    f"SELECT bucket, request_id FROM {TABLE} WHERE {one}"  # noqa: S608 -- values are parameters
    for one in _IDS
)
_BY_ID = f"(bucket, request_id) IN ({_KEYS}) AND ({' OR '.join(_IDS)})"
"""Each id goes through its own index; an OR over all three would use none."""
_SINCE = "bucket >= toDateTime({since:UInt32}, 'UTC')"


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
    lineages = read_lineages(client, _BY_ID, ids, order=_OLDEST_FIRST, limit=MOST)
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


def newest_bucket_s(client: Client) -> int:
    """Give the newest bucket, UTC epoch seconds; 0 for an empty store."""
    ((newest,),) = client.query(f"SELECT toUnixTimestamp(max(bucket)) FROM {TABLE}").result_rows  # noqa: S608
    return int(newest)
