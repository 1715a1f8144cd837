"""What a store says of itself: sizes, and the stretch of time that it covers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from clickhouse_connect.driver import Client

from pipeline.store.statements import TABLE

_TABLES = (TABLE, "edge_event_versions", "dead_letter_versions")


def describe(client: Client) -> dict[str, Any]:
    """Give rows by table (versions not merged yet included), bytes on disk, first and last bucket."""
    sizes = client.query(
        "SELECT name, total_rows, total_bytes FROM system.tables "
        "WHERE database = currentDatabase() AND name IN {names:Array(String)}",
        parameters={"names": list(_TABLES)},
    ).result_rows
    ((first, last, rows),) = client.query(
        f"SELECT min(bucket), max(bucket), count() FROM {TABLE}"  # noqa: S608 -- our name
    ).result_rows
    return {
        "rows": {str(name): int(count or 0) for name, count, _ in sizes},
        "bytes": sum(int(size or 0) for _, _, size in sizes),
        "first_bucket": _rfc3339(first) if rows else None,
        "last_bucket": _rfc3339(last) if rows else None,
    }


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
