"""SQL that follows from the columns: how rows are put in, and how they are read back.

PURE: text alone. Both directions carry one JSON array a row (`JSONCompactEachRow`), in the order of
`columns.py`: the lineage's own fields, the edge record, the attempts with their tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pipeline.model import Timers
from pipeline.store.columns import ATTEMPT, EDGE, IN_KEY, PAIRS, ROW, TRY, Column, Kind

TABLE = "lineage_rows"
IDS = "lineage_ids"
"""Which rows an id may be in; filled by a view on insert."""
FORMAT = "JSONCompactEachRow"
HAS_EDGE = "has_edge"


def quoted(name: str) -> str:
    """Quote an identifier; ours hold dots and no backticks."""
    return f"`{name}`"


def structure() -> str:
    """Give the types of a sent row, as the table functions `input` and `file` take them."""
    row = (f"{quoted(column.field)} {column.kind.sent}" for column in ROW)
    edge, attempts = _edge(EDGE, _sent, named=True), _attempts(_sent, named=True)
    return ", ".join((*row, f"edge {edge}", f"attempts {attempts}"))


def table_columns() -> dict[str, str]:
    """Give every column of the table that is written, and its type."""
    row = {column.name: column.kind.stored for column in ROW}
    edge, attempts = _edge(STORED_EDGE, _stored, named=True), _attempts(_stored, named=True)
    return {**row, HAS_EDGE: "Bool", "edge": edge, "attempts": attempts}


def insert_statement(source: str) -> str:
    """Give the INSERT that takes sent rows from a table function, such as `input('…')`.

    Elements of the tuples find their places by name; an edge record's `rec_id` and `request_id`, which are the
    row's own, have none.
    """
    names = [*(quoted(column.name) for column in ROW), HAS_EDGE, "edge", "attempts"]
    values = [column.kind.put.format(quoted(column.field)) for column in ROW]
    # As a function: a name with a dot costs ClickHouse's analysis five times as much.
    values += ["tupleElement(edge, 'rec_id') != 0", "edge", "attempts"]
    return f"INSERT INTO {TABLE} ({', '.join(names)}) SELECT {', '.join(values)} FROM {source}"  # noqa: S608 -- our names


def select_list() -> str:
    """Give what to SELECT for `stored_rows.decode_lineages`.

    Without names a tuple is an array in JSON, for every reader and under any setting.
    """
    row = ("toUnixTimestamp(bucket)" if c.name == "bucket" else quoted(c.name) for c in ROW)
    edge = f"CAST(edge, '{_edge(STORED_EDGE, _read, named=False)}')"
    attempts = f"CAST(attempts, '{_attempts(_read, named=False)}')"
    return ", ".join((*row, HAS_EDGE, edge, attempts))


STORED_EDGE = tuple(column for column in EDGE if column.field not in IN_KEY)
"""What `edge` holds."""
_Type = Callable[[Kind], str]


def _sent(kind: Kind) -> str:
    return kind.sent


def _stored(kind: Kind) -> str:
    return kind.stored


def _read(kind: Kind) -> str:
    return kind.sent if kind is PAIRS else kind.stored


def _edge(columns: Iterable[Column], kind: _Type, *, named: bool) -> str:
    return f"Tuple({', '.join(_with_timers(columns, kind, named=named))})"


def _with_timers(columns: Iterable[Column], kind: _Type, *, named: bool) -> Iterator[str]:
    for column in columns:
        if column.field == f"timers.{Timers.__struct_fields__[0]}":
            timers = (_element(name, "Nullable(Int64)", named=named) for name in Timers.__struct_fields__)
            yield _element("timers", f"Tuple({', '.join(timers)})", named=named)
        if not column.field.startswith("timers."):
            yield _element(column.name, kind(column.kind), named=named)


def _attempts(kind: _Type, *, named: bool) -> str:
    tries = ", ".join(_element(column.name, kind(column.kind), named=named) for column in TRY)
    kinds = (f"Array(Tuple({tries}))" if column.field == "tries" else kind(column.kind) for column in ATTEMPT)
    elements = (_element(column.name, of, named=named) for column, of in zip(ATTEMPT, kinds, strict=True))
    return f"Array(Tuple({', '.join(elements)}))"


def _element(name: str, kind: str, *, named: bool) -> str:
    return f"{quoted(name)} {kind}" if named else kind
