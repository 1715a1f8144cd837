"""What a store says of itself: version, sizes, and the stretch of time that it covers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver import Client

from pipeline.store.side_rows import DEAD_LETTERS, EVENTS
from pipeline.store.statements import TABLE


def describe(client: Client) -> dict[str, Any]:
    """Give version, rows by table (superseded ones too), bytes on disk, first and last bucket.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    sizes = client.query(
        "SELECT name, total_rows, total_bytes FROM system.tables "
        "WHERE database = currentDatabase() AND name IN {names:Array(String)} ORDER BY name",
        parameters={"names": [TABLE, EVENTS.name, DEAD_LETTERS.name]},
    ).result_rows
    ((first, last, rows),) = client.query(
        f"SELECT toUInt32(min(bucket)), toUInt32(max(bucket)), count() FROM {TABLE}"  # noqa: S608 -- our name
    ).result_rows
    return {
        "version": str(client.command("SELECT version()")),
        "rows": {str(name): int(count or 0) for name, count, _ in sizes},
        "bytes_on_disk": sum(int(size or 0) for _, _, size in sizes),
        "first_bucket": _rfc3339(first) if rows else None,
        "last_bucket": _rfc3339(last) if rows else None,
    }


def _rfc3339(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
