"""I/O: numbered SQL files, applied in order, once, forward only.

Each statement is safe to run twice, so that two processes that apply at once do no harm; on a server a lock
keeps them from it, and on an embedded store the directory is locked anyway.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from pipeline.errors import ConfigError
from pipeline.resources import resource
from pipeline.store import retention
from pipeline.store.cluster import ClusterRenderer
from pipeline.store.connection import Connection, Refused, answering
from pipeline.store.schema_lock import locked

_log = logging.getLogger(__name__)

_LEDGER = "schema_versions"
_CREATE_LEDGER = (
    f"CREATE TABLE IF NOT EXISTS {_LEDGER} (number UInt32, name String, checksum String, "
    "applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')) "
    "ENGINE = ReplacingMergeTree(applied_at) ORDER BY number"
)
_NEW_TABLE = 9
"""The file that copies the lineages into another table, which has no retention yet."""
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class Migration(NamedTuple):
    """One file."""

    number: int
    name: str
    checksum: str
    """SHA-256 of the file, hexadecimal."""
    statements: tuple[str, ...]


class Applied(NamedTuple):
    """What a store says of a file."""

    number: int
    name: str
    checksum: str
    applied_at: datetime


def migrations() -> list[Migration]:
    """Read the files that this version of the program brings, in order."""
    found = []
    for file in sorted(resource("schemas/clickhouse").iterdir()):
        name = _NAME.fullmatch(file.name)
        if name is not None:
            text = file.read_text(encoding="utf-8")
            statements = tuple(filter(None, (part.strip() for part in _COMMENT.sub("", text).split(";\n"))))
            digest = hashlib.sha256(text.encode()).hexdigest()
            found.append(Migration(int(name[1]), file.name, digest, statements))
    return found


def applied(connection: Connection) -> list[Applied]:
    """Give what was applied to a store, in order; nothing where it never was."""
    with answering():
        there = connection.client.query(
            "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
            {"name": _LEDGER},
        ).result_rows[0][0]
        if not there:
            return []
        rows = connection.client.query(
            f"SELECT number, name, checksum, applied_at FROM {_LEDGER} FINAL ORDER BY number"  # noqa: S608 -- our name
        ).result_rows
    return [Applied(*row) for row in rows]


def pending(connection: Connection) -> list[Migration]:
    """Give the files that a store still lacks, in order.

    Raises:
        ConfigError: A file was changed after it was applied, or a newer program was here.
        StoreUnavailable: The store did not answer.
    """
    known = {migration.number: migration for migration in migrations()}
    done = applied(connection)
    for row in done:
        migration = known.get(row.number)
        if migration is None:
            raise ConfigError(f"the store has {row.name}, which this version does not know: use a newer one")
        if migration.checksum != row.checksum:
            raise ConfigError(
                f"{row.name} was changed after it was applied to this store: files are forward only, "
                "restore it and add another"
            )
    numbers = {row.number for row in done}
    return [migration for migration in known.values() if migration.number not in numbers]


def require(connection: Connection) -> None:
    """Refuse a store that lacks files; a server's schema is changed when its operator says so.

    Raises:
        ConfigError: It does; says what to run.
        StoreUnavailable: The store did not answer.
    """
    if lacking := pending(connection):
        names = ", ".join(migration.name for migration in lacking)
        raise ConfigError(f"the store lacks {names}: run hoptrail schema apply")


def rendered(todo: Iterable[Migration], cluster: str | None) -> Iterator[Migration]:
    """Give files with the statements that are run: their own, or those that do the same on a cluster.

    Raises:
        ConfigError: No cluster is called so.
    """
    if cluster is None:
        yield from todo
        return
    wanted = {migration.number for migration in todo}  # the others are read for what they made
    renderer = ClusterRenderer(cluster)
    for migration in migrations():
        statements = tuple(out for one in migration.statements for out in renderer.render(one))
        if migration.number in wanted:
            yield migration._replace(statements=statements)


def apply(connection: Connection, *, embedded: bool, cluster: str | None = None) -> list[Migration]:
    """Apply what is pending; gives what was.

    Raises:
        ConfigError: As `pending`; or the store refuses a statement, or is embedded and has no cluster.
        StoreUnavailable: The store did not answer, or another process holds the lock for too long.
    """
    if embedded and cluster is not None:
        raise ConfigError("an embedded store is on one machine: --cluster is for servers")
    if not pending(connection):
        return []
    if embedded:
        return _apply(connection, None)
    with locked(connection, cluster):
        return _apply(connection, cluster)


def _apply(connection: Connection, cluster: str | None) -> list[Migration]:
    client = connection.client
    todo = list(rendered(pending(connection), cluster))
    kept = retention.retention_before_0009(connection)
    try:
        with answering(takes_rows=True):
            for statement in _ledger_statements(cluster):
                client.command(statement)
            for migration in todo:
                if len(todo) < len(migrations()):  # a file that copies rows may take minutes
                    _log.info("bringing the store up to date: %s", migration.name)
                for statement in migration.statements:
                    client.command(statement)
                client.insert(
                    _LEDGER,
                    [[migration.number, migration.name, migration.checksum]],
                    column_names=["number", "name", "checksum"],
                    column_type_names=["UInt32", "String", "String"],
                    settings={"distributed_foreground_insert": 1} if cluster else None,
                )
    except Refused as error:
        raise ConfigError(f"the store refuses the schema: {error.reason}") from error
    if kept.days and any(migration.number == _NEW_TABLE for migration in todo):
        retention.apply(connection, {"lineage": kept}, cluster)
    return todo


def _ledger_statements(cluster: str | None) -> Iterator[str]:
    """Give what makes the table of what was applied."""
    if cluster is None:
        yield _CREATE_LEDGER
    else:
        yield from ClusterRenderer(cluster).render(_CREATE_LEDGER)
