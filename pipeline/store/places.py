"""Where the rows of an id may be, as `lineage_ids` says: the first of two steps of every look-up by id.

An entry is a hash of the id, the row's bucket, and the lower half of its `rec_id`. It may lead to a row of another
id, or to none any more; whoever reads the rows looks at what they hold. None lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from clickhouse_connect.driver import Client

from pipeline.store.statements import FORMAT, IDS

_HALF = 0xFFFF_FFFF

IN_BUCKETS = "bucket IN {buckets:Array(UInt32)}"
IS_ONE = f"toUInt32(bitAnd(rec_id, {_HALF})) IN {{recs:Array(UInt32)}}"
"""Which rows are at some places, of their key alone: so it may be asked before `FINAL`."""


class Place(NamedTuple):
    """Where a row may be."""

    bucket_s: int
    """UTC epoch seconds."""
    rec: int
    """Lower half of its `rec_id`."""


_decode = msgspec.json.Decoder(Place, strict=False).decode_lines  # servers may quote numbers


def lower_half(rec_id: int) -> int:
    """Give of a row's name what its entries hold."""
    return rec_id & _HALF


def at(places: Iterable[Place]) -> dict[str, Any]:
    """Give the parameters of `IN_BUCKETS` and `IS_ONE`."""
    buckets, recs = {place.bucket_s for place in places}, {place.rec for place in places}
    return {"buckets": sorted(buckets), "recs": sorted(recs)}


def find_places(
    client: Client,
    ids: Collection[str],
    most: int,
    near: str = "1",
    parameters: Mapping[str, Any] | None = None,
) -> set[Place]:
    """Find where the rows of any of some ids may be.

    Args:
        client: Any client of the store.
        ids: Request ids, gateway request ids, trace ids.
        most: Places of one id, the oldest.
        near: A condition on `bucket`.
        parameters: Values of its parameters.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    query = (
        f"SELECT toUnixTimestamp(bucket), rec FROM {IDS} "  # noqa: S608 -- values are parameters
        f"WHERE hash IN (SELECT xxHash32(arrayJoin({{ids:Array(String)}}))) AND {near} "
        "GROUP BY hash, bucket, rec ORDER BY hash, bucket, rec LIMIT {most:UInt32} BY hash"
    )
    values = {"ids": list(ids), "most": most, **(parameters or {})}
    return set(_decode(client.raw_query(query, parameters=values, fmt=FORMAT)))
