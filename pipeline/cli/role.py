"""What `ingest` and `join` have in common: logging, signals, addresses, exit code."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Literal

import typer

from pipeline.bus.kafka.repetitions import Repetitions
from pipeline.clock import SystemClock
from pipeline.config import Config
from pipeline.interpreter import tune


def run_role(name: Literal["ingest", "join"], config: Config) -> None:
    """Run a role until SIGTERM or SIGINT; exit code 0 after a clean stop, 1 if a stage failed."""
    logging.basicConfig(
        level=config.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("aiokafka").setLevel(max(logging.WARNING, logging.getLogger().level))
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repetitions(SystemClock()))
    if not asyncio.run(_run(name, config)):
        raise typer.Exit(1)


async def _run(name: Literal["ingest", "join"], config: Config) -> bool:
    from pipeline import topology_ingest, topology_kafka  # noqa: PLC0415 -- the engine of the store takes 1 s to load

    tune()
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    role = topology_ingest.ingesting if name == "ingest" else topology_kafka.joining
    return await topology_kafka.run_role(role, config, stop, _say_ready)


def _say_ready(addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        typer.echo(f"{name:12} {address}", err=True)
    typer.echo("ready", err=True)
