"""`hoptrail schema`: what tables a store has, what it lacks, and how it gets them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.connect import ConfigOption, DataDirOption
from pipeline.cli.output import Column, Output, OutputOption, Row, say, write_rows
from pipeline.config import load_config
from pipeline.store import schema as files
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import EmbeddedDsn, parse_dsn

WritableOption = Annotated[
    str | None, typer.Option("--store", help="chdb:///absolute/dir or clickhouse://user@host:8123/database.")
]
_COLUMNS = (
    Column("FILE", lambda row: row["file"], 30),
    Column("APPLIED", lambda row: row["applied_at"] or "not yet", 24),
    Column("CHECKSUM", lambda row: row["checksum"][:12], 12),
)

_schema = typer.Typer(help="Tables and views of the store.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _schema.command("status")(status)
    _schema.command("plan")(plan)
    _schema.command("apply")(apply)
    app.add_typer(_schema, name="schema")


def status(
    store: WritableOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the schema's files and when each was applied; exit code 1 where some were not."""
    with _opened(store, data_dir, config_file, create=False) as (connection, _):
        rows = list(_rows(connection))
    write_rows(rows, output, _COLUMNS)
    if not all(row["applied_at"] for row in rows):
        raise typer.Exit(1)


def plan(
    store: WritableOption = None, data_dir: DataDirOption = None, config_file: ConfigOption = None
) -> None:
    """Print the SQL that `apply` would run; nothing is changed."""
    with _opened(store, data_dir, config_file, create=False) as (connection, _):
        lacking = files.pending(connection)
    for migration in lacking:
        typer.echo(f"-- {migration.name}")
        for statement in migration.statements:
            typer.echo(f"{statement.rstrip(';')};")
    say(f"{len(lacking)} of {len(files.migrations())} files to apply")


def apply(
    store: WritableOption = None, data_dir: DataDirOption = None, config_file: ConfigOption = None
) -> None:
    """Bring a store's schema up to this version; the database is made where it is missing.

    Forward only. Safe to run again, and twice at once. `serve` and `replay` do it by themselves for an embedded
    store; a server's tables change only here.
    """
    with _opened(store, data_dir, config_file, create=True) as (connection, embedded):
        done = files.apply(connection, embedded=embedded)
    for migration in done:
        typer.echo(f"applied {migration.name}")
    if not done:
        typer.echo("nothing to apply")


@contextmanager
def _opened(
    store: str | None, data_dir: Path | None, config_file: Path | None, *, create: bool
) -> Iterator[tuple[Connection, bool]]:
    """Open the store that is meant; says whether it is embedded."""
    config = load_config(config_file, {"data_dir": data_dir, "store.dsn": store})
    dsn = parse_dsn(config.store_dsn)
    connection = connect(dsn, create=create)
    try:
        yield connection, isinstance(dsn, EmbeddedDsn)
    finally:
        connection.close()


def _rows(connection: Connection) -> Iterator[Row]:
    """Give the files of this version, and those that a newer one applied."""
    applied = {row.number: row for row in files.applied(connection)}
    for migration in files.migrations():
        row = applied.pop(migration.number, None)
        at = _rfc3339(row.applied_at) if row else None
        yield {"file": migration.name, "checksum": migration.checksum, "applied_at": at}
    for row in applied.values():
        yield {"file": row.name, "checksum": row.checksum, "applied_at": _rfc3339(row.applied_at)}


def _rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
