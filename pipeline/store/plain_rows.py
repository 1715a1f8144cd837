"""Rows read by the plain names of their columns, and put together here rather than by the engine.

PURE. Each function over a column costs the engine some tenth of a millisecond before it has read anything:
half of what one row costs. Here the columns of one treatment lie side by side, so that what is done for each
value is done for a slice of them; the order of the structs comes back by position.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, get_type_hints

import msgspec

from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Timers, Try
from pipeline.store.columns import ATTEMPT, EDGE, IN_KEY, ROW, TRY, Column
from pipeline.store.rows import Row
from pipeline.store.statements import HAS_EDGE, plain_names


class _Part(NamedTuple):
    """Columns that lie side by side: first those of which zero or nothing is None."""

    columns: tuple[Column, ...]
    blank: int
    """How many of them are so."""
    begin: int
    """Where they lie in a row that is read."""
    end: int

    def getter(self, fields: Iterable[str], *behind: str) -> itemgetter[Any]:
        """Give what brings values into an order of fields; some that are no columns stand behind them."""
        names = [*(column.field for column in self.columns), *behind]
        return itemgetter(*map(names.index, fields))

    def types(self, of: Mapping[str, Any]) -> list[Any]:
        """Give the types of the columns, from those of fields."""
        return [of[column.field] for column in self.columns]


def _part(columns: Iterable[Column], begin: int) -> _Part:
    ordered = tuple(sorted(columns, key=lambda column: not column.kind.blank))
    blank = sum(column.kind.blank for column in ordered)
    return _Part(ordered, blank, begin, begin + len(ordered))


_ROW_PART = _part(ROW, 0)
_EDGE_PART = _part((column for column in EDGE if column.field not in IN_KEY), _ROW_PART.end)
_HAS_EDGE = _EDGE_PART.end
_ATTEMPT_PART = _part((column for column in ATTEMPT if column.field != "tries"), _HAS_EDGE + 1)
_TRY_INDEX = _ATTEMPT_PART.end
_TRY_PART = _part(TRY, _TRY_INDEX + 1)

SELECT_LIST = ", ".join(
    (
        *plain_names(_ROW_PART.columns, ""),
        *plain_names(_EDGE_PART.columns, "edge."),
        HAS_EDGE,
        *plain_names(_ATTEMPT_PART.columns, "attempts.", arrays=True),
        "`tries.attempt`",
        *plain_names(_TRY_PART.columns, "tries.", arrays=True),
    )
)
"""What to SELECT for `decode_plain`."""

_row_values = _ROW_PART.getter(column.field for column in ROW)
_edge_values = _EDGE_PART.getter(EdgeRecord.__struct_fields__, "rec_id", "request_id", "timers")
_timers = _EDGE_PART.getter(f"timers.{name}" for name in Timers.__struct_fields__)
_attempt_values = _ATTEMPT_PART.getter(GatewayRecord.__struct_fields__, "tries")
_try_values = _TRY_PART.getter(Try.__struct_fields__)
_own_name = itemgetter(
    *(
        next(at for at, one in enumerate(_ROW_PART.columns) if one.field == name)
        for name in ("rec_id", "request_id")
    )
)

_timer_types = {f"timers.{name}": kind for name, kind in get_type_hints(Timers).items()}
_types = (
    *_ROW_PART.types(dict(zip((column.field for column in ROW), get_type_hints(Row).values(), strict=False))),
    *_EDGE_PART.types(get_type_hints(EdgeRecord) | _timer_types),
    bool,
    *(list[kind] for kind in _ATTEMPT_PART.types(get_type_hints(GatewayRecord))),  # type: ignore[valid-type]  # made here
    list[int],
    *(list[kind] for kind in _TRY_PART.types(get_type_hints(Try))),  # type: ignore[valid-type]  # made here
)
_decode_lines = msgspec.json.Decoder(
    tuple.__class_getitem__(_types),
    strict=False,  # servers may quote 64-bit integers
).decode_lines


def decode_plain(lines: bytes) -> list[Lineage]:
    """Read the lines that `SELECT_LIST` gives."""
    return [_lineage(values) for values in _decode_lines(lines)]


def _filled(values: Sequence[Any], blank: int) -> list[Any]:
    """Turn what is unknown into None."""
    found = [value or None for value in values[:blank]]
    found += values[blank:]
    return found


def _lineage(values: Sequence[Any]) -> Lineage:
    has_edge = values[_HAS_EDGE]
    row = _filled(values[: _ROW_PART.end], _ROW_PART.blank)
    edge = _edge(values[_EDGE_PART.begin : _EDGE_PART.end], _own_name(row)) if has_edge else None
    return Row(*(*_row_values(row), edge, _attempts(values), has_edge)).lineage()


def _edge(values: Sequence[Any], own_name: tuple[int, str]) -> EdgeRecord:
    flat = _filled(values, _EDGE_PART.blank)
    flat += own_name
    flat.append(Timers(*_timers(flat)))
    return EdgeRecord(*_edge_values(flat))


def _attempts(values: Sequence[Any]) -> tuple[GatewayRecord, ...]:
    """Put the attempts together, each with the tries whose `tries.attempt` is its index."""
    tries: dict[int, list[Try]] = {}
    for index, *tried in zip(values[_TRY_INDEX], *values[_TRY_PART.begin :], strict=True):
        tries.setdefault(index, []).append(Try(*_try_values(_filled(tried, _TRY_PART.blank))))
    found = []
    for index, one in enumerate(zip(*values[_ATTEMPT_PART.begin : _ATTEMPT_PART.end], strict=True)):
        flat = _filled(one, _ATTEMPT_PART.blank)
        flat.append(tuple(tries.get(index, ())))
        found.append(GatewayRecord(*_attempt_values(flat)))
    return tuple(found)
