"""How a lineage is found by any of its ids: the request's, the gateway's, the trace's, or a prefix of one.

A whole id is looked for everywhere, through the index of its column; a prefix has no index and is looked for
in the newest part of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from clickhouse_connect.driver import Client

from pipeline.model import Lineage, StoreKey
from pipeline.store.plain_rows import SELECT_LIST, decode_plain
from pipeline.store.rows import read_lineages, without_absorbed
from pipeline.store.search import hide_absorbed
from pipeline.store.statements import FORMAT, TABLE

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
_ANY_ID = f"({' OR '.join(_IDS)})"
_EACH_ID = " UNION ALL ".join(
    f"SELECT bucket, request_id FROM {TABLE} WHERE {one}"  # noqa: S608 -- values are parameters
    for one in _IDS
)
_BY_ID = f"(bucket, request_id) IN ({_EACH_ID}) AND {_ANY_ID}"
"""Each id goes through its own index."""
_SINCE = "bucket >= toDateTime({since:UInt32}, 'UTC')"

_FEW = 100
"""Versions of rows that are named, and read by their plain columns; of some 300 the engine's own way is faster."""
_MOST_NAMED = 300
"""Rows of any of those buckets, request ids and names: more than were asked for, where they cross."""
_VERSIONS = (
    "SELECT toUnixTimestamp(bucket), request_id, rec_id, rev, is_deleted "  # noqa: S608 -- values are parameters
    f"FROM {TABLE} WHERE {_ANY_ID} LIMIT {_FEW + 1}"
)
_NAMED = (
    f"SELECT {SELECT_LIST} FROM {TABLE} FINAL "  # noqa: S608 -- values are parameters
    "WHERE bucket IN {buckets:Array(UInt32)} AND request_id IN {request_ids:Array(String)} "
    f"AND rec_id IN {{rec_ids:Array(UInt64)}} LIMIT {_MOST_NAMED}"
)
_EITHER_INDEX = "use_skip_indexes_for_disjunctions"
"""Where it is on, an OR goes through the index of each of its sides; else it reads everything."""


class _Version(msgspec.Struct, array_like=True, gc=False):
    """Which row a version is of, and whether it buries it."""

    bucket_s: int
    request_id: str
    rec_id: int
    rev: int
    is_deleted: bool


_decode_versions = msgspec.json.Decoder(_Version, strict=False).decode_lines


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
    lineages = _few(client, ids)
    if lineages is None:
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


def _few(client: Client, ids: Mapping[str, str]) -> list[Lineage] | None:
    """Find the rows of an id that few versions of rows have, in two statements: twice as fast as in one.

    None where there are more, where the server reads everything for an OR, or where a newer version of a row
    has the id no more or came between both statements: what took its place may have another name.
    """
    if not _is_on(client, _EITHER_INDEX):
        return None
    lines = client.raw_query(_VERSIONS, parameters=dict(ids), fmt=FORMAT)
    versions = _decode_versions(lines)
    if len(versions) > _FEW:
        return None
    newest = {_key(one): one for one in sorted(versions, key=_by_age)}
    alive = {key: version.rev for key, version in newest.items() if not version.is_deleted}
    if not alive:
        return []
    named = {
        "buckets": sorted({key.bucket_s for key in alive}),
        "request_ids": sorted({key.request_id for key in alive}),
        "rec_ids": sorted({key.rec_id for key in alive}),
    }
    rows = decode_plain(client.raw_query(_NAMED, parameters=named, fmt=FORMAT))
    wanted = [row for row in rows if alive.get(_key(row)) == row.rev]
    return without_absorbed(sorted(wanted, key=_by_start)) if len(wanted) == len(alive) else None


def _key(one: _Version | Lineage) -> StoreKey:
    return StoreKey(one.bucket_s, one.request_id, one.rec_id)


def _by_age(version: _Version) -> tuple[int, bool]:
    """Oldest first; a doubtful one counts as alive, and is then looked for in vain."""
    return version.rev, not version.is_deleted


def _by_start(row: Lineage) -> tuple[int, str, int]:
    start_us = row.edge.start_us if row.edge is not None else min(one.started_us for one in row.attempts)
    return start_us, row.request_id, row.rec_id


def _is_on(client: Client, setting: str) -> bool:
    known = client.server_settings.get(setting)
    return known is not None and known.value == "1"


def newest_bucket_s(client: Client) -> int:
    """Give the newest bucket, UTC epoch seconds; 0 for an empty store."""
    ((newest,),) = client.query(f"SELECT toUnixTimestamp(max(bucket)) FROM {TABLE}").result_rows  # noqa: S608
    return int(newest)
