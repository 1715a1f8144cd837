"""`hoptrail schema retention`: how long a store keeps its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from pipeline.cli.connect import ConfigOption, DataDirOption
from pipeline.cli.output import Column, Output, OutputOption, say, write_rows
from pipeline.cli.stores import ClusterOption, WritableOption, asked, opened
from pipeline.errors import ConfigError
from pipeline.store.connection import Connection
from pipeline.store.dsn import EmbeddedDsn
from pipeline.store.retention import KINDS, Kept, apply, parse_days, parse_volume, retention, statements

_COLUMNS = (
    Column("ROWS OF", lambda row: row["kind"], 14),
    Column("ARE KEPT", lambda row: f"{row['days']} days" if row["days"] else "for good", 10),
    Column("THEN ON", lambda row: _where(row["volume"], row["volume_days"]), 30),
)
LineageOption = Annotated[
    str | None, typer.Option("--lineage", help="How long lineages are kept, as in 90d; off: for good.")
]
DeadLettersOption = Annotated[str | None, typer.Option("--dead-letters", help="How long dead letters are.")]
EventsOption = Annotated[str | None, typer.Option("--events", help="How long the edge's events are.")]
MinutesOption = Annotated[str | None, typer.Option("--minutes", help="How long counted minutes are.")]
LedgerOption = Annotated[str | None, typer.Option("--ledger", help="How long the ledger is.")]
VolumeOption = Annotated[
    str | None,
    typer.Option("--volume", help="Volume that lineages are moved to, and when, as in cold:30d; or off."),
]

_retention = typer.Typer(help="How long rows are kept: for good, unless told.", invoke_without_command=True)


def register(schema: typer.Typer) -> None:
    """Add the commands."""
    _retention.callback()(show)
    _retention.command("plan")(plan)
    _retention.command("apply")(set_)
    schema.add_typer(_retention, name="retention")


def show(
    context: typer.Context,
    store: WritableOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say how long rows are kept: for good, unless told."""
    if context.invoked_subcommand is not None:
        return
    with asked(store, data_dir, config_file) as connection:
        rows = [{"kind": kind, **kept._asdict()} for kind, kept in retention(connection).items()]
    write_rows(rows, output, _COLUMNS)


def plan(
    store: WritableOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    lineage: LineageOption = None,
    dead_letters: DeadLettersOption = None,
    events: EventsOption = None,
    minutes: MinutesOption = None,
    ledger: LedgerOption = None,
    volume: VolumeOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Print the SQL that `apply` would run; nothing is changed."""
    days = _days(lineage, dead_letters, events, minutes, ledger)
    with opened(store, data_dir, config_file, create=False) as (connection, _):
        before = retention(connection)
        found = list(statements(before, _wanted(before, days, volume), cluster))
    for statement in found:
        typer.echo(f"{statement};")
    say(f"{_counted(len(found))} to run")


def set_(
    store: WritableOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    lineage: LineageOption = None,
    dead_letters: DeadLettersOption = None,
    events: EventsOption = None,
    minutes: MinutesOption = None,
    ledger: LedgerOption = None,
    volume: VolumeOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Set how long rows are kept; what is not named stays as it is. Safe to run again."""
    days = _days(lineage, dead_letters, events, minutes, ledger)
    with opened(store, data_dir, config_file, create=False) as (connection, dsn):
        if isinstance(dsn, EmbeddedDsn) and cluster:
            raise ConfigError("an embedded store is on one machine: --cluster is for servers")
        done = apply(connection, _wanted(retention(connection), days, volume), cluster)
        now = retention(connection)
    for kind, kept in now.items():
        typer.echo(f"{kind}: {kept}")
    say(f"{_counted(len(done))} run")


def say_retention(connection: Connection) -> None:
    """Say on standard error how long rows are kept."""
    found = retention(connection)
    if found:
        say("rows are kept: " + "; ".join(f"{kind} {kept}" for kind, kept in found.items()))


def _days(*given: str | None) -> dict[str, str | None]:
    """Give what was said of each kind, in the order of `KINDS`."""
    return dict(zip(KINDS, given, strict=True))


def _wanted(
    before: Mapping[str, Kept], days: Mapping[str, str | None], volume: str | None
) -> dict[str, Kept]:
    wanted = {}
    for kind, text in days.items():
        if text is not None:
            option = "--" + kind.replace("_", "-")
            wanted[kind] = before.get(kind, Kept())._replace(days=parse_days(option, text))
    if volume is not None:
        name, age = parse_volume(volume) or (None, None)
        lineage = wanted.get("lineage", before.get("lineage", Kept()))
        wanted["lineage"] = lineage._replace(volume=name, volume_days=age)
    if not wanted:
        raise ConfigError(
            "nothing to set: give --lineage, --dead-letters, --events, --minutes, --ledger or --volume"
        )
    return wanted


def _counted(statements: int) -> str:
    return f"{statements} statement{'' if statements == 1 else 's'}"


def _where(volume: str | None, days: int | None) -> str:
    return f"{volume}, after {days} days" if volume else ""
