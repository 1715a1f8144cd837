"""What is stored already of groups that are about to be written: found by id, near their bucket.

Two steps: keys through the skip indexes, then those keys with FINAL. Up to a thousand keys are asked for by
id; more are cheaper to find by reading the ids of a stretch of time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clickhouse_connect.driver import Client

from pipeline.contracts import LookupKey
from pipeline.model import Lineage, StoreKey
from pipeline.store.rows import read_lineages
from pipeline.store.statements import TABLE

_SPAN_S = 2 * 3600
"""How far the bucket of another half may be: an hour's bucket beside an exact one, an hour off."""
_KEYS_AT_ONCE = 250
_MOST_PER_ID = 256
"""Rows read for one id. An id that more rows share is a constant, and not joined on (`join.joiner`)."""

_IN_TIME = "bucket BETWEEN toDateTime({first:UInt32}, 'UTC') AND toDateTime({last:UInt32}, 'UTC')"
_BY_ID = (
    "hasAny(request_ids, {request_ids:Array(String)})",
    "hasAny(gateway_request_ids, {gateway_ids:Array(String)})",
    "rec_id IN {rec_ids:Array(UInt64)}",
)


def find_stored(client: Client, keys: Sequence[LookupKey]) -> list[Lineage]:
    """Give every live row near the keys' buckets that shares an id or its name with any of them.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    found: dict[StoreKey, Lineage] = {}
    for chunk in _chunks(sorted(keys, key=lambda key: key.bucket_s)):
        for row in _find_chunk(client, chunk):
            found[StoreKey(row.bucket_s, row.request_id, row.rec_id)] = row
    return list(found.values())


def _chunks(keys: Sequence[LookupKey]) -> Iterator[Sequence[LookupKey]]:
    """Cut keys into questions of bounded size and of bounded stretches of time."""
    start = 0
    for index, key in enumerate(keys):
        if index - start >= _KEYS_AT_ONCE or key.bucket_s - keys[start].bucket_s > _SPAN_S:
            yield keys[start:index]
            start = index
    if keys[start:]:
        yield keys[start:]


def _find_chunk(client: Client, keys: Sequence[LookupKey]) -> list[Lineage]:
    parameters = {
        "first": max(0, keys[0].bucket_s - _SPAN_S),
        "last": min(2**32 - 1, keys[-1].bucket_s + _SPAN_S),
        "request_ids": sorted({one for key in keys for one in key.request_ids}),
        "gateway_ids": sorted({one for key in keys for one in key.gateway_request_ids}),
        "rec_ids": sorted({one for key in keys for one in key.rec_ids}),
    }
    names = ("request_ids", "gateway_ids", "rec_ids")
    by_id = [how for name, how in zip(names, _BY_ID, strict=True) if parameters[name]]
    if not by_id:
        return []
    matches = " UNION ALL ".join(
        f"(SELECT bucket, request_id FROM {TABLE} WHERE {_IN_TIME} AND {one} "  # noqa: S608 -- values are parameters
        f"LIMIT {_MOST_PER_ID} BY request_id)"
        for one in by_id
    )
    where = f"{_IN_TIME} AND (bucket, request_id) IN ({matches}) AND ({' OR '.join(by_id)})"
    return read_lineages(client, where, parameters)
