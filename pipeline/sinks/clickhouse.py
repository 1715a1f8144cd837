"""The store as a sink: batches made durable in ClickHouse, in process or on a server.

Back pressure: one batch at a time; whoever writes waits for it.

Delivery: `write` returns when the rows are on disk (`fsync_after_insert`). The same batch twice gives the
same rows once, by the rows' keys; rows that absorbed others are written before the tombstones of those.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import Error

from pipeline.contracts import Batch, LookupKey
from pipeline.errors import StoreUnavailable
from pipeline.model import Lineage
from pipeline.store.client import StoreThread, make_database, open_handle
from pipeline.store.counts import Counts, count_lineages
from pipeline.store.describe import describe
from pipeline.store.dsn import Dsn, parse_dsn
from pipeline.store.others import insert_dead_letters, insert_events
from pipeline.store.rows import encode_lineages
from pipeline.store.schema import apply
from pipeline.store.statements import FORMAT, insert_statement, structure
from pipeline.store.stored import find_stored

_T = TypeVar("_T")
_HOUR_S = 3600
_MOST_PARTITIONS = 90
"""Days that one insert may span: ClickHouse refuses more than 100 partitions."""
_SETTINGS = "SETTINGS input_format_json_named_tuples_as_objects = 0"
_MEMORY_FILES = Path("/dev/shm")  # noqa: S108 -- a file there has a random name and mode 0600


class ClickHouseSink:
    """Makes batches durable; a `Store`."""

    def __init__(
        self, dsn: Dsn, thread: StoreThread, held_hours: frozenset[int], newest_start_s: int
    ) -> None:
        self._dsn = dsn
        self._thread = thread
        self._held_hours = held_hours
        self._newest_start_s = newest_start_s

    async def write(self, batch: Batch) -> None:
        """Make a batch durable.

        Raises:
            StoreUnavailable: It is not known to be; write it again.
        """
        await self._ask(lambda client: self._write(client, batch))

    async def find_stored(self, keys: Sequence[LookupKey]) -> list[Lineage]:
        """Give what is stored under any of the keys.

        Raises:
            StoreUnavailable: The answer is unknown.
        """
        return await self._ask(lambda client: find_stored(client, keys))

    def may_hold(self, bucket_s: int) -> bool:
        """Whether rows written before this process began may exist near a bucket."""
        hour = bucket_s // _HOUR_S
        return bucket_s <= self._newest_start_s and any(
            near in self._held_hours for near in (hour - 1, hour, hour + 1)
        )

    async def count(self, first_bucket_s: int | None, last_bucket_s: int | None) -> Counts:
        """Count the live lineages between two buckets; none where nothing was written."""
        if first_bucket_s is None or last_bucket_s is None:
            return Counts(dict.fromkeys(("complete", "edge_only", "gateway_only"), 0), 0)
        return await self._ask(lambda client: count_lineages(client, first_bucket_s, last_bucket_s))

    async def describe(self) -> dict[str, Any]:
        """Say where the store is, how large, and what stretch of time it covers."""
        return {"place": self._dsn.shown, **await self._ask(describe)}

    def open_client(self) -> Any:  # noqa: ANN401 -- chdb ships no types
        """Give a new raw handle on the embedded engine, for the read door."""
        return open_handle(self._dsn)

    def _write(self, client: Client, batch: Batch) -> None:
        rows = [row for row in batch.lineages if not row.is_deleted]
        tombstones = [row for row in batch.lineages if row.is_deleted]
        for lineages in (rows, tombstones):
            for part in _by_days(lineages):
                self._insert(client, encode_lineages(part))
        insert_events(client, batch.events)
        insert_dead_letters(client, batch.dead_letters)

    def _insert(self, client: Client, lines: bytes) -> None:
        """Put encoded rows in: the embedded engine reads them from a file, a server from the request."""
        if self._dsn.directory is None:
            source = insert_statement(f"input($types${structure()}$types$)")
            client.command(f"{source} {_SETTINGS} FORMAT {FORMAT}", data=lines)
            return
        directory = _MEMORY_FILES if _MEMORY_FILES.is_dir() else None
        with tempfile.NamedTemporaryFile(prefix="hoptrail-", dir=directory) as file:
            file.write(lines)
            file.flush()
            source = f"file('{os.fspath(file.name)}', '{FORMAT}', $types${structure()}$types$)"
            client.command(f"{insert_statement(source)} {_SETTINGS}")

    async def _ask(self, act: Callable[[Client], _T]) -> _T:
        try:
            return await self._thread.with_client(act)
        except (Error, OSError) as error:
            raise StoreUnavailable(str(error).partition("\n")[0][:500]) from error


@asynccontextmanager
async def open_sink(dsn_text: str) -> AsyncIterator[ClickHouseSink]:
    """Open a store to write to; its database and tables are made, or brought up to date, first.

    Raises:
        ConfigError: The DSN is wrong, the directory is locked, the server refuses, the schema does not fit.
    """
    dsn = parse_dsn(dsn_text)
    thread = StoreThread(dsn)
    await thread.call(lambda: make_database(dsn))
    async with thread:
        await thread.with_client(apply)
        hours, newest_start_s = await thread.with_client(_held)
        yield ClickHouseSink(dsn, thread, hours, newest_start_s)


def _held(client: Client) -> tuple[frozenset[int], int]:
    """Find the hours of which rows are stored, and the latest bucket or start among them."""
    hours = client.query(
        "SELECT DISTINCT intDiv(toUnixTimestamp(bucket), 3600) FROM lineage_versions"
    ).result_rows
    ((newest,),) = client.query(
        "SELECT greatest(toUnixTimestamp(max(bucket)), toInt64(max(start_time))) FROM lineage_versions"
    ).result_rows
    return frozenset(int(hour) for (hour,) in hours), int(newest)


def _by_days(lineages: Sequence[Lineage]) -> list[Sequence[Lineage]]:
    """Cut rows so that no insert spans too many partitions; nearly always one part."""
    days = {row.bucket_s // 86_400 for row in lineages}
    if len(days) <= _MOST_PARTITIONS:
        return [lineages] if lineages else []
    ordered = sorted(days)
    parts: list[Sequence[Lineage]] = []
    for first in range(0, len(ordered), _MOST_PARTITIONS):
        mine = set(ordered[first : first + _MOST_PARTITIONS])
        parts.append([row for row in lineages if row.bucket_s // 86_400 in mine])
    return parts
