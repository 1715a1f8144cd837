"""SQL that follows from the columns: how rows are put in, and how they are read back.

PURE: text alone. Both directions carry one JSON array a row (`JSONCompactEachRow`), in the order of
`columns.py`: the lineage's own fields, the edge record, the attempts with their tries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.model import Timers
from pipeline.store.columns import ATTEMPT, EDGE, IN_KEY, ROW, TRY, Column

TABLE = "lineage_versions"
FORMAT = "JSONCompactEachRow"
HAS_EDGE = "has_edge"


def quoted(name: str) -> str:
    """Quote an identifier; ours hold dots and no backticks."""
    return f"`{name}`"


def structure() -> str:
    """Give the types of a sent row, as the table functions `input` and `file` take them."""
    row = [f"{quoted(column.field)} {column.kind.sent}" for column in ROW]
    timers = ", ".join(f"{name} Nullable(Int64)" for name in Timers.__struct_fields__)
    edge = [
        f"timers Tuple({timers})" if column.field == "timers.TR" else _typed(column)
        for column in EDGE
        if not column.field.startswith("timers.") or column.field == "timers.TR"
    ]
    tries = ", ".join(map(_typed, TRY))
    attempt = [f"tries Array(Tuple({tries}))" if c.field == "tries" else _typed(c) for c in ATTEMPT]
    return ", ".join((*row, f"edge Tuple({', '.join(edge)})", f"attempts Array(Tuple({', '.join(attempt)}))"))


def _typed(column: Column) -> str:
    return f"{column.field} {column.kind.sent}"


def columns() -> Iterator[tuple[str, str, str]]:
    """Give every column that is written: its name, its type, and its value from a sent row, SQL."""
    for column in ROW:
        yield column.name, column.kind.stored, column.kind.put.format(quoted(column.field))
    yield HAS_EDGE, "Bool", f"{_element('edge', 'rec_id')} != 0"
    for column in EDGE:
        if column.field not in IN_KEY:
            value = column.kind.put.format(_element("edge", *column.field.split(".")))
            yield f"edge.{column.name}", column.kind.stored, value
    for column in ATTEMPT:
        if column.field != "tries":
            value = _mapped(column.kind.put, _element("attempts", column.field))
            yield f"attempts.{column.name}", f"Array({column.kind.stored})", value
    tries = _element("attempts", "tries")
    index = f"arrayFlatten(arrayMap((t, i) -> arrayWithConstant(length(t), toUInt16(i)), {tries}, "
    yield "tries.attempt", "Array(UInt16)", f"{index}range(length({tries}))))"
    for column in TRY:
        value = _mapped(column.kind.put, f"arrayFlatten({_element('attempts', 'tries', column.field)})")
        yield f"tries.{column.name}", f"Array({column.kind.stored})", value


def _element(of: str, *path: str) -> str:
    """Take an element of a tuple. As a function: a name with a dot costs ClickHouse's analysis five times as much."""
    return _element(f"tupleElement({of}, '{path[0]}')", *path[1:]) if path else of


def insert_statement(source: str) -> str:
    """Give the INSERT that takes sent rows from a table function, such as `input('…')`."""
    names, _, values = zip(*columns(), strict=True)
    targets = ", ".join(map(quoted, names))
    return f"INSERT INTO {TABLE} ({targets}) SELECT {', '.join(values)} FROM {source}"  # noqa: S608 -- our names


def select_list() -> str:
    """Give what to SELECT so that rows come back as they were sent, then whether there is an edge record."""
    row = [column.kind.get.format(quoted(column.name)) for column in ROW]
    return ", ".join((*row, _edge(), _attempts(), HAS_EDGE))


def plain_names(of: Iterable[Column], prefix: str, *, arrays: bool = False) -> list[str]:
    """Give what to SELECT of columns, with a function only where the type in JSON would be another."""
    names = [(quoted(prefix + column.name), column.kind.plain) for column in of]
    return [_mapped(plain, name) if arrays else plain.format(name) for name, plain in names]


def _edge() -> str:
    """The edge record as a tuple; its eight timers are one within it."""
    values: list[str] = []
    timers: list[str] = []
    for column in EDGE:
        name = column.name if column.field in IN_KEY else f"edge.{column.name}"
        value = column.kind.get.format(quoted(name))
        (timers if column.field.startswith("timers.") else values).append(value)
        if column.field == "timers.Ti":
            values.append(f"tuple({', '.join(timers)})")
    return f"tuple({', '.join(values)})"


def _attempts() -> str:
    """The attempts as an array of tuples, each with the tries whose `tries.attempt` is its index."""
    tries = _zipped("tries", TRY)
    mine = "arrayMap(p -> p.2, arrayFilter(p -> p.1 = i, tried))"
    of_each = f"arrayMap(i -> {mine}, range(length(`attempts.attempt_id`)))"
    of_each = of_each.replace("tried", f"arrayZip(`tries.attempt`, {tries})")
    return _zipped("attempts", ATTEMPT, tries=of_each)


def _zipped(group: str, of: Iterable[Column], *, tries: str = "") -> str:
    arrays = (
        tries if column.field == "tries" else _mapped(column.kind.get, quoted(f"{group}.{column.name}"))
        for column in of
    )
    return f"arrayZip({', '.join(arrays)})"


def _mapped(template: str, array: str) -> str:
    return array if template == "{}" else f"arrayMap(x -> {template.format('x')}, {array})"
