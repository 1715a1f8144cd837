"""`hoptrail schema`: what tables a store has, what it lacks, and how it gets them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import typer

from pipeline.cli import retention, rollup
from pipeline.cli.connect import ConfigOption, DataDirOption
from pipeline.cli.output import Column, Output, OutputOption, Row, say, write_rows
from pipeline.cli.retention import say_retention
from pipeline.cli.stores import ClusterOption, WritableOption, asked, opened
from pipeline.config import load_config
from pipeline.store import schema as files
from pipeline.store.access import access_sql
from pipeline.store.connection import Connection
from pipeline.store.dsn import DATABASE, EmbeddedDsn, parse_dsn

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
    _schema.command("render")(render)
    _schema.command("access")(access)
    retention.register(_schema)
    rollup.register(_schema)
    app.add_typer(_schema, name="schema")


def status(
    store: WritableOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the schema's files and when each was applied, and how long rows are kept.

    Exit code 1 where some were not applied.
    """
    with asked(store, data_dir, config_file) as connection:
        rows = list(_rows(connection))
        say_retention(connection)
    write_rows(rows, output, _COLUMNS)
    if not all(row["applied_at"] for row in rows):
        raise typer.Exit(1)


def plan(
    store: WritableOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Print the SQL that `apply` would run; nothing is changed."""
    with opened(store, data_dir, config_file, create=False) as (connection, _):
        lacking = files.pending(connection)
    _print(files.rendered(lacking, cluster))
    say(f"{len(lacking)} of {len(files.migrations())} files to apply")


def render(cluster: ClusterOption = None) -> None:
    """Print all of the schema's SQL, without a store: for those who apply it by other means."""
    _print(files.rendered(files.migrations(), cluster))


def access(
    store: WritableOption = None, config_file: ConfigOption = None, cluster: ClusterOption = None
) -> None:
    """Print SQL that makes reader, writer and auditor on a server, with the limits of the read door."""
    config = load_config(config_file, {"store.dsn": store})
    dsn = parse_dsn(config.store_dsn)
    database = DATABASE if isinstance(dsn, EmbeddedDsn) else dsn.database
    typer.echo(access_sql(database, config.door, cluster), nl=False)


def apply(
    store: WritableOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Bring a store's schema up to this version; the database is made where it is missing.

    Forward only. Safe to run again, and twice at once. `serve` and `replay` do it by themselves for an embedded
    store; a server's tables change only here.
    """
    with opened(store, data_dir, config_file, create=True) as (connection, dsn):
        done = files.apply(connection, embedded=isinstance(dsn, EmbeddedDsn), cluster=cluster)
    for migration in done:
        typer.echo(f"applied {migration.name}")
    if not done:
        typer.echo("nothing to apply")


def _print(migrations: Iterable[files.Migration]) -> None:
    for migration in migrations:
        typer.echo(f"-- {migration.name}")
        for statement in migration.statements:
            typer.echo(f"{statement.rstrip(';')};")


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
