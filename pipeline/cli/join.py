"""`hoptrail join`: read logs from Kafka and keep lineages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.role import run_role
from pipeline.cli.run import ConfigFile
from pipeline.config import load_config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(join)


def join(
    config_file: ConfigFile = None,
    data_dir: Annotated[Path | None, typer.Option(help="For server.json, and an embedded store.")] = None,
    bus: Annotated[str | None, typer.Option(help="kafka://host:port,host:port")] = None,
    store: Annotated[str | None, typer.Option(help="clickhouse://… or chdb:///absolute/dir")] = None,
    window_s: Annotated[float | None, typer.Option(help="Seconds a record waits for its other half.")] = None,
) -> None:
    """Join what `hoptrail ingest` put on Kafka, and keep one lineage per request.

    Any number of such processes may run on one store; the consumer group shares the partitions out. Stops on
    SIGTERM or SIGINT: what is being written is finished and committed within `drain_s`, the rest is read again by
    whoever has its partitions next.
    """
    options = {"data_dir": data_dir, "bus.dsn": bus, "store.dsn": store, "join.window_s": window_s}
    run_role("join", load_config(config_file, options))
