"""I/O: lineages, events and dead letters into ClickHouse, embedded or a server.

*Back pressure*: `write` returns when rows are durable; what may pass later raises `StoreUnavailable`, and the
engine waits and tries again.

*Delivery*: the row's key decides, not the batch. The same rows again, cut differently, are the same rows once;
a row and the tombstone of what it absorbed go in one insert, which is atomic within a day's partition, the row
first where there are several.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import chdb

from pipeline.clock import Clock, SystemClock
from pipeline.contracts import MOST_PER_ID, Batch, Fragment, LookupKey
from pipeline.errors import ConfigError
from pipeline.model import DeadLetter, EdgeRecord, GatewayRecord, Lineage
from pipeline.sinks.inserts import Inserts
from pipeline.sinks.packed import PackedRows, pack
from pipeline.sinks.rollups import Rollups
from pipeline.store import lookup, schema
from pipeline.store.connection import Connection, answering, connect
from pipeline.store.counts import OUTCOMES, Counts, count_lineages
from pipeline.store.describe import describe
from pipeline.store.dsn import Dsn, EmbeddedDsn, parse_dsn
from pipeline.store.fragments import find_fragments
from pipeline.store.gaps import EdgeLoss, edge_loss
from pipeline.store.held import Held, read_held
from pipeline.store.retention import Kept, retention
from pipeline.store.thread import OneThread

_AROUND_S = 300


@asynccontextmanager
async def open_sink(dsn: str, clock: Clock | None = None) -> AsyncIterator[ClickHouseSink]:
    """Open a store to write to; an embedded one is made, and its schema applied, where that is needed.

    Args:
        dsn: Where it is.
        clock: Says which minutes are over and can be counted; the machine's own unless told.

    Raises:
        ConfigError: The DSN is wrong, the directory is locked, the schema does not fit.
        StoreUnavailable: A server does not answer.
    """
    parsed = parse_dsn(dsn)
    thread = OneThread("store")
    rollups = Rollups(parsed, clock or SystemClock())
    connection: Connection | None = None
    try:
        connection = await thread.run(lambda: _open(parsed))
        opened = connection
        await thread.run(lambda: rollups.adopt(opened))
        yield ClickHouseSink(parsed, opened, thread, await thread.run(lambda: read_held(opened)), rollups)
    finally:
        await rollups.close()
        await thread.close(connection.close if connection is not None else lambda: None)


def _open(dsn: Dsn) -> Connection:
    embedded = isinstance(dsn, EmbeddedDsn)
    connection = connect(dsn, create=embedded)
    try:
        if embedded:
            schema.apply(connection, embedded=True)
        else:
            schema.require(connection)
    except BaseException:
        connection.close()
        raise
    return connection


class ClickHouseSink:
    """A `Store`. Made by `open_sink`.

    Args:
        dsn: Where it is.
        connection: Open, with the schema applied; used on `thread` alone.
        thread: What blocks runs there.
        held: Buckets that held rows when it was opened.
        rollups: Remembers the minutes that are written.
    """

    def __init__(
        self, dsn: Dsn, connection: Connection, thread: OneThread, held: Held, rollups: Rollups
    ) -> None:
        self._dsn = dsn
        self._connection = connection
        self._thread = thread
        self._held = held
        self._rollups = rollups
        self._inserts = Inserts(connection, rollups, is_server=self.is_shared)

    def pack(self, lineages: Sequence[Lineage]) -> PackedRows:
        """Encode rows, which are then let go; from any thread."""
        return pack(lineages)

    async def write(self, batch: Batch) -> list[DeadLetter]:
        """Make a batch durable; gives the dead letters that were made of rows the store will never take.

        Raises:
            StoreUnavailable: It may pass later; nothing may be committed.
        """
        return await self._thread.run(lambda: self._inserts.write(batch))

    async def find_stored(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[Lineage]:
        """Give the rows, no tombstones, that share an id with any of the keys; a bounded number of each id.

        Raises:
            StoreUnavailable: The answer is unknown.
        """
        return await self._thread.run(lambda: lookup.find_stored(self._connection, keys, most_per_id))

    @property
    def is_shared(self) -> bool:
        """Whether others may write to it: a server; an embedded store has one process."""
        return not isinstance(self._dsn, EmbeddedDsn)

    async def keep(self, fragments: Sequence[Fragment]) -> None:
        """Keep records so that every later `find_kept` gives them.

        Raises:
            StoreUnavailable: It may pass later.
        """
        await self._thread.run(lambda: self._inserts.keep(fragments))

    async def find_kept(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[EdgeRecord | GatewayRecord]:
        """Give kept records that share an id with any of the keys; a bounded number of each id.

        Raises:
            StoreUnavailable: The answer is unknown.
        """
        return await self._thread.run(lambda: find_fragments(self._connection, keys, most_per_id))

    def may_hold(self, bucket_s: int) -> bool:
        """Whether rows that were there when the store was opened may be near this bucket."""
        return self._held.near(bucket_s)

    async def count(self, first_bucket_s: int | None, last_bucket_s: int | None) -> Counts:
        """Count the live lineages between two buckets; none where there are no buckets.

        Raises:
            StoreUnavailable: It did not answer.
        """
        if first_bucket_s is None or last_bucket_s is None:
            return Counts(dict.fromkeys(OUTCOMES, 0), 0)
        first, last = first_bucket_s, last_bucket_s

        def count() -> Counts:
            with answering():
                return count_lineages(self._connection.client, first, last)

        return await self._thread.run(count)

    async def count_minutes(self, *, at_once: bool = False) -> int:
        """Count anew the minutes that are over and have changed; gives how many. Nobody who writes waits for it.

        Args:
            at_once: Also those that were written to a moment ago.

        Raises:
            StoreUnavailable: What was not counted will be the next time.
        """
        return await self._rollups.count(at_once=at_once)

    async def count_shared_minutes(self, is_mine: Callable[[int], bool]) -> int:
        """Count anew the minutes that are ours among many writers, whoever changed them; gives how many.

        Raises:
            StoreUnavailable: What was not counted will be the next time.
        """
        return await self._rollups.count_shared(is_mine)

    async def retention(self) -> dict[str, Kept]:
        """Give how long rows are kept, by kind.

        Raises:
            StoreUnavailable: It did not answer.
        """
        return await self._thread.run(lambda: retention(self._connection))

    async def edge_loss(self, since_s: int, until_s: int) -> EdgeLoss:
        """Give what HAProxy's own counting says of the last minutes: lines that lack, and that it threw away.

        Raises:
            StoreUnavailable: It did not answer.
        """

        def ask() -> EdgeLoss:
            with answering():
                return edge_loss(self._connection.client, since_s, until_s, around_s=_AROUND_S)

        return await self._thread.run(ask)

    def open_handle(self) -> Any:  # noqa: ANN401 -- chdb ships no types
        """Give a new raw handle on the embedded engine, for the read door; from any thread.

        Raises:
            ConfigError: The store is a server: ask it directly.
        """
        if not isinstance(self._dsn, EmbeddedDsn):
            raise ConfigError(f"{self._dsn.shown} is a server: it has doors of its own")
        return chdb.connect(str(self._dsn.directory))  # type: ignore[no-untyped-call] # chdb ships no types

    async def describe(self) -> dict[str, Any]:
        """Give where the store is, its version, its rows (superseded ones too), bytes and range of buckets.

        Raises:
            StoreUnavailable: It did not answer.
        """
        return await self._thread.run(self._describe)

    def _describe(self) -> dict[str, Any]:
        with answering():
            return {"dsn": self._dsn.shown, **describe(self._connection.client)}
