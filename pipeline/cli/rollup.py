"""`hoptrail schema rollup`: count minutes anew, all that have changed or all since a time."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from pipeline.cli.connect import ConfigOption, DataDirOption
from pipeline.cli.output import say
from pipeline.cli.search_options import moment_us
from pipeline.cli.stores import WritableOption, opened
from pipeline.store.dsn import EmbeddedDsn
from pipeline.store.rollups import MINUTE_S, count_minutes, mark, marked, minutes_since


def register(schema: typer.Typer) -> None:
    """Add the command."""
    schema.command("rollup")(rollup)


def rollup(
    store: WritableOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    since: Annotated[
        str | None, typer.Option(help="Count every minute from then on: 2h, 7d, 2026-11-23, RFC 3339.")
    ] = None,
) -> None:
    """Count closed minutes anew; without --since those whose lineages have changed since they were counted.

    `serve` does so by itself once a minute, `replay` at its end. Again gives the same.
    """
    now_ns = time.time_ns()
    with opened(store, data_dir, config_file, create=False) as (connection, dsn):
        found = marked(connection)
        wanted = list(found)
        if since is not None:
            wanted += minutes_since(connection, moment_us("--since", since, now_ns // 1000) // 1_000_000)
        closed = [minute for minute in wanted if (minute + 1) * MINUTE_S * 10**9 <= now_ns]
        count_minutes(connection, closed)
        if isinstance(dsn, EmbeddedDsn):  # on a server somebody may be about to write what he marked
            marks = [(minute, writer) for minute in closed for writer in found.get(minute, ())]
            mark(connection, marks, now_ns, is_deleted=True)
    say(f"{len(set(closed))} minutes counted")
