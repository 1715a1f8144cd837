"""Events and dead letters as rows: what is stored beside the lineages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec
from clickhouse_connect.driver import Client

from pipeline.model import DeadLetter, EdgeEvent
from pipeline.store.columns import Column
from pipeline.store.side_columns import DEAD_LETTER, EVENT
from pipeline.store.statements import FORMAT, quoted

_S = TypeVar("_S", bound=msgspec.Struct)
_encode_lines = msgspec.json.Encoder().encode_lines
_decode_line = msgspec.json.Decoder(list[Any]).decode_lines


class SideTable(Generic[_S]):
    """A table whose rows are structs of one kind.

    Args:
        name: The table.
        kind: The struct.
        columns: One for each of its fields, in its order.
    """

    def __init__(self, name: str, kind: type[_S], columns: Sequence[Column]) -> None:
        self.name = name
        self.columns = columns
        self.structure = ", ".join(f"{quoted(column.field)} {column.kind.sent}" for column in columns)
        self._kind = kind
        self._fields = tuple(column.field for column in columns)
        self._values = attrgetter(*self._fields)

    def insert_statement(self, source: str) -> str:
        """Give the INSERT that takes sent rows from a table function."""
        names = ", ".join(quoted(column.name) for column in self.columns)
        values = ", ".join(column.kind.put.format(quoted(column.field)) for column in self.columns)
        return f"INSERT INTO {self.name} ({names}) SELECT {values} FROM {source}"  # noqa: S608 -- our names

    def encode(self, rows: Sequence[_S]) -> bytes:
        """Write rows as the lines that `insert_statement` takes.

        Raises:
            ValueError: Text that JSON cannot carry (a surrogate).
        """
        return _encode_lines(list(map(self._values, rows)))

    def read(
        self,
        client: Client,
        where: str = "1",
        parameters: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
    ) -> list[_S]:
        """Read rows back, newest first.

        Raises:
            clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
        """
        values = ", ".join(column.kind.get.format(quoted(column.name)) for column in self.columns)
        query = (
            f"SELECT {values} FROM {self.name} FINAL WHERE {where} ORDER BY arrival_time DESC, offset DESC"  # noqa: S608 -- values are parameters
        )
        if limit is not None:
            query += f" LIMIT {limit:d}"
        lines = client.raw_query(query, parameters=dict(parameters or {}), fmt=FORMAT)
        return [
            msgspec.convert(dict(zip(self._fields, row, strict=True)), self._kind)
            for row in _decode_line(lines)
        ]


EVENTS = SideTable("edge_event_versions", EdgeEvent, EVENT)
DEAD_LETTERS = SideTable("dead_letter_versions", DeadLetter, DEAD_LETTER)
