"""Events of the edge and dead letters as rows; few, so that the plain way in serves."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from clickhouse_connect.driver import Client

from pipeline.model import DeadLetter, EdgeEvent

_EVENTS = (
    ("offset", "offset", "Int64"),
    ("arrival_ns", "arrival_time", "DateTime64(9, 'UTC')"),
    ("time_us", "time", "DateTime64(6, 'UTC')"),
    ("kind", "kind", "String"),
    ("node", "node", "String"),
    ("pid", "pid", "UInt32"),
    ("severity", "severity", "Nullable(UInt8)"),
    ("proxy", "proxy", "String"),
    ("server", "server", "String"),
    ("client_ip", "client_ip", "String"),
    ("count", "count", "Nullable(Int64)"),
    ("text", "text", "String"),
)
"""Field, column, type."""

_LETTERS = (
    ("offset", "offset", "Int64"),
    ("arrival_ns", "arrival_time", "DateTime64(9, 'UTC')"),
    ("source", "source", "String"),
    ("peer", "peer", "String"),
    ("reason", "reason", "String"),
    ("detail", "detail", "String"),
    ("body", "body", "String"),
    ("fingerprint", "fingerprint", "String"),
    ("size", "size", "UInt64"),
)
"""Field, column, type."""


def insert_events(client: Client, events: Sequence[EdgeEvent]) -> None:
    """Put events in; an offset that is there already is the same event."""
    _insert(client, "edge_event_versions", events, _EVENTS)


def insert_dead_letters(client: Client, letters: Sequence[DeadLetter]) -> None:
    """Put dead letters in; an offset that is there already is the same letter."""
    _insert(client, "dead_letter_versions", letters, _LETTERS)


def _insert(
    client: Client, table: str, records: Sequence[Any], layout: Sequence[tuple[str, str, str]]
) -> None:
    if not records:
        return
    fields, columns, types = zip(*layout, strict=True)
    values = [
        [_known(value, kind) for value in map(attrgetter(field), records)]
        for field, kind in zip(fields, types, strict=True)
    ]
    client.insert(table, values, column_names=columns, column_type_names=types, column_oriented=True)


def _known(value: object, kind: str) -> object:
    """Write "unknown" as the column does: NULL where it may be, else its zero or the empty string."""
    if value is not None:
        return str(value) if kind == "String" else value
    if kind.startswith("Nullable"):
        return None
    return "" if kind == "String" else 0
