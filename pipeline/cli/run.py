"""`hoptrail serve`: start the process that takes logs in and keeps lineages."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import Config, load_config
from pipeline.interpreter import tune

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file.", envvar="HOPTRAIL_CONFIG", dir_okay=False)
]


_LOGIN = re.compile(r"//[^/@]*@")
"""Our own commands' password for the read door is in `server.json` alone."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)


def serve(
    config_file: ConfigFile = None,
    data_dir: Annotated[Path | None, typer.Option(help="Journal, embedded store, server.json.")] = None,
    store: Annotated[str | None, typer.Option(help="chdb:///absolute/dir or clickhouse://…")] = None,
    window_s: Annotated[float | None, typer.Option(help="Seconds a record waits for its other half.")] = None,
    log_format: Annotated[str | None, typer.Option(help="HAProxy's log-format, or its name.")] = None,
) -> None:
    """Take in HAProxy's and Kong's logs and keep one lineage per request.

    Stops on SIGTERM or SIGINT: sources first, then what is on the bus is stored within `drain_s`; what is
    left is on disk and goes on at the next start. Exit code 0 after a clean stop, 1 if a stage failed, 2 if
    the configuration is wrong.
    """
    options = {
        "data_dir": data_dir,
        "store.dsn": store,
        "join.window_s": window_s,
        "sources.syslog.log_format": log_format,
    }
    config = load_config(config_file, options)
    logging.basicConfig(
        level=config.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if not asyncio.run(_serve(config)):
        raise typer.Exit(1)


async def _serve(config: Config) -> bool:
    from pipeline.topology import serve as run_topology  # noqa: PLC0415 -- the engine of the store takes 1 s to load

    tune()
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await run_topology(config, stop, _say_ready)


def _say_ready(addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        typer.echo(f"{name:12} {_LOGIN.sub('//', address)}", err=True)
    typer.echo("ready", err=True)
