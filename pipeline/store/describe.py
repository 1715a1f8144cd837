"""What a store says of itself: version, sizes, and the stretch of time that it covers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver import Client

from pipeline.store.cluster import LOCAL
from pipeline.store.dsn import DATABASE
from pipeline.store.ledger import LEDGER
from pipeline.store.rollups import MINUTES
from pipeline.store.side_rows import DEAD_LETTERS, EVENTS
from pipeline.store.statements import IDS, TABLE

COUNTED = (TABLE, EVENTS.name, DEAD_LETTERS.name, LEDGER.name)
"""Tables whose rows are told."""
_WEIGHED = (*COUNTED, IDS, MINUTES)


def describe(client: Client) -> dict[str, Any]:
    """Give version, rows by table (superseded ones too), bytes on disk, first and last bucket.

    On a cluster rows are those of all shards; bytes are those of the node that answers.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    tables = client.query(
        "SELECT name, engine, total_rows, total_bytes FROM system.tables "
        "WHERE database = {database:String} AND name IN {names:Array(String)} ORDER BY name",
        {
            "database": client.database or DATABASE,
            "names": [*_WEIGHED, *(name + LOCAL for name in _WEIGHED)],
        },
    ).result_rows
    ((first, last, rows),) = client.query(
        f"SELECT toUnixTimestamp(min(bucket)), toUnixTimestamp(max(bucket)), count() FROM {TABLE}"  # noqa: S608 -- our name
    ).result_rows
    return {
        "version": str(client.command("SELECT version()")),
        "rows": {name: _rows(client, tables, name) for name, *_ in tables if name in COUNTED},
        "bytes_on_disk": sum(int(size or 0) for *_, size in tables),
        "first_bucket": _rfc3339(first) if rows else None,
        "last_bucket": _rfc3339(last) if rows else None,
    }


def _rows(client: Client, tables: Sequence[Sequence[Any]], name: str) -> int:
    """Count a table's rows: its parts know, but those of a table over shards are on other nodes."""
    engine, known = next((engine, rows) for one, engine, rows, _ in tables if one == name)
    if engine == "Distributed":
        return int(client.query(f"SELECT count() FROM {name}").result_rows[0][0])  # noqa: S608 -- our name
    return int(known or 0)


def _rfc3339(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
