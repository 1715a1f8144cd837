"""`hoptrail ingest`: take logs in and put them on Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.role import run_role
from pipeline.cli.run import ConfigFile
from pipeline.config import load_config


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ingest)


def ingest(
    config_file: ConfigFile = None,
    data_dir: Annotated[Path | None, typer.Option(help="For server.json.")] = None,
    bus: Annotated[str | None, typer.Option(help="kafka://host:port,host:port")] = None,
) -> None:
    """Take in HAProxy's and Kong's logs and put them on Kafka, for `hoptrail join`.

    Any number of such processes may run; none keeps anything. Stops on SIGTERM or SIGINT: sources first, then
    what is held is handed to the brokers within `drain_s`.
    """
    run_role("ingest", load_config(config_file, {"data_dir": data_dir, "bus.dsn": bus}))
