"""Rows that are read, as lineages.

What is unknown rests as zero or as the empty string; that it is None again is done here, where it costs a
tenth of what a function over each column costs the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import GenericAlias
from typing import Any, get_type_hints

import msgspec
from clickhouse_connect.driver import Client

from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Try
from pipeline.store.columns import ATTEMPT, ROW, TRY, Column
from pipeline.store.rows import Row
from pipeline.store.statements import FORMAT, STORED_EDGE, TABLE, select_list


def _tuple_of(
    struct: type[msgspec.Struct], columns: Iterable[Column], **others: GenericAlias
) -> GenericAlias:
    """Give the type of what is read of a struct."""
    hints = get_type_hints(struct) | others
    return GenericAlias(tuple, tuple(hints[field] for field in _fields(columns)))


def _fields(columns: Iterable[Column]) -> dict[str, bool]:
    """Name the fields that columns stand for, and whether what is unknown is not None yet; eight are its timers."""
    return {column.field.partition(".")[0]: column.kind.blank for column in columns}


def _blanks(columns: Iterable[Column]) -> list[int]:
    """Give the places of values that are None where they are zero or empty."""
    return [place for place, blank in enumerate(_fields(columns).values()) if blank]


_EDGE_BLANKS, _ATTEMPT_BLANKS, _TRY_BLANKS = map(_blanks, (STORED_EDGE, ATTEMPT, TRY))
_ROW_BLANKS = [place for place, column in enumerate(ROW) if column.kind.blank]
_TRIES = list(_fields(ATTEMPT)).index("tries")
_REC_ID, _REQUEST_ID = (next(n for n, c in enumerate(ROW) if c.field == f) for f in ("rec_id", "request_id"))

_tries = GenericAlias(list, _tuple_of(Try, TRY))
_types = (
    *tuple(get_type_hints(Row).values())[: len(ROW)],
    bool,
    _tuple_of(EdgeRecord, STORED_EDGE),
    GenericAlias(list, _tuple_of(GatewayRecord, ATTEMPT, tries=_tries)),
)
_decode = msgspec.json.Decoder(
    GenericAlias(tuple, _types),
    strict=False,  # servers may quote 64-bit integers; a UInt8 says yes or no
).decode


def decode_lineages(lines: bytes) -> list[Lineage]:
    """Read the lines that `statements.select_list` gives.

    Raises:
        msgspec.DecodeError: They are others.
    """
    return [
        _lineage(_decode(line)) for line in lines.splitlines()
    ]  # one by one: else the collector goes over all


def _lineage(values: Sequence[Any]) -> Lineage:
    *row, has_edge, edge, attempts = values
    _fill(row, _ROW_BLANKS)
    row.append(_edge(edge, row[_REC_ID], row[_REQUEST_ID]) if has_edge else None)
    row.append(tuple([_attempt(one) for one in attempts]))
    return Row(*row).lineage()


def _edge(values: Iterable[Any], rec_id: int, request_id: str) -> EdgeRecord:
    offset, *others = _fill(list(values), _EDGE_BLANKS)
    return EdgeRecord(rec_id, offset, request_id, *others)


def _attempt(values: Iterable[Any]) -> GatewayRecord:
    record = _fill(list(values), _ATTEMPT_BLANKS)
    record[_TRIES] = tuple([Try(*_fill(list(one), _TRY_BLANKS)) for one in record[_TRIES]])
    return GatewayRecord(*record)


def _fill(values: list[Any], blanks: Iterable[int]) -> list[Any]:
    """Turn what is unknown into None."""
    for place in blanks:
        if not values[place]:
            values[place] = None
    return values


def read_lineages(
    client: Client,
    where: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    order: str = "",
    limit: int | None = None,
) -> list[Lineage]:
    """Read live lineages whole; neither superseded versions nor tombstones nor absorbed orphans.

    Not for a search over much: `where` is looked for under FINAL, so it should say `bucket` and `request_id`,
    at best as `(bucket, request_id) IN (SELECT …)`.

    Args:
        client: Any client of the store; its database is ours.
        where: A condition on the columns of `lineage_rows`.
        parameters: Values for its `{name:Type}` placeholders.
        order: What comes behind ORDER BY.
        limit: Most rows.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    query = f"SELECT {select_list()} FROM {TABLE} FINAL WHERE {where}"  # noqa: S608 -- values are parameters
    if order:
        query += f" ORDER BY {order}"
    if limit is not None:
        query += f" LIMIT {limit:d}"
    lines = client.raw_query(query, parameters=dict(parameters or {}), fmt=FORMAT)
    return without_absorbed(decode_lineages(lines))


def without_absorbed(rows: Sequence[Lineage]) -> list[Lineage]:
    """Leave out orphans of which every attempt stands beside an edge record in another of the rows.

    Between the write of a row and that of its orphan's tombstone, or after a race of two writers, both are
    there.
    """
    owned = {attempt.attempt_id for row in rows if row.edge is not None for attempt in row.attempts}
    return [
        row
        for row in rows
        if row.edge is not None or not all(attempt.attempt_id in owned for attempt in row.attempts)
    ]
