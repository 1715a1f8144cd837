"""I/O: who changes a server's schema holds a table that only one can create.

On a cluster every node is told to create it: their queue of such statements is one, so the second is refused on
whatever node it was said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.errors import StoreUnavailable
from pipeline.store.cluster import database_statement, on_cluster
from pipeline.store.connection import Connection, answering

_TABLE = "schema_lock"
_STALE_S = 6 * 3600
"""Age at which a lock belongs to a process that died: a file that copies rows may take hours."""
_PATIENCE_S = 120
_POLL_S = 0.2
_ALREADY_EXISTS = 57


@contextmanager
def locked(connection: Connection, cluster: str | None) -> Iterator[None]:
    """Hold the lock of a server's or of a cluster's schema.

    Raises:
        ConfigError: No cluster is called so.
        StoreUnavailable: The store did not answer, or another process holds it for too long.
    """
    client, everywhere = connection.client, f" {on_cluster(cluster)}" if cluster else ""
    if cluster:
        with answering():
            client.command(database_statement(str(client.database), cluster))
    deadline = time.monotonic() + _PATIENCE_S
    while not _took(connection, everywhere):
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"another process has held {_TABLE} for {_age_s(connection)} s; drop that table if there is none"
            )
        if _STALE_S < _age_s(connection) < 2**31:
            _drop(connection, everywhere)
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        _drop(connection, everywhere)


def _age_s(connection: Connection) -> int:
    """Ask for how long the lock has been held, seconds; something enormous where it is held no more."""
    with answering():
        rows = connection.client.query(
            "SELECT toInt64(now() - max(metadata_modification_time)) FROM system.tables "
            "WHERE database = currentDatabase() AND name = {name:String}",
            {"name": _TABLE},
        ).result_rows
    return int(rows[0][0])


def _drop(connection: Connection, everywhere: str) -> None:
    with answering():
        connection.client.command(f"DROP TABLE IF EXISTS {_TABLE}{everywhere}")


def _took(connection: Connection, everywhere: str) -> bool:
    try:
        connection.client.command(f"CREATE TABLE {_TABLE}{everywhere} (held UInt8) ENGINE = Memory")
    except DatabaseError as error:
        if error.code == _ALREADY_EXISTS:
            return False
        with answering():
            raise
    return True
