"""`hoptrail demo`: the real process under real log lines, on this machine alone."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.errors import PipelineError

_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep everything here; unless told, a temporary directory is used.")
    ] = None,
    real_haproxy: Annotated[
        bool, typer.Option(help="Put the real HAProxy at the edge where there is one.")
    ] = True,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0, help="Stop so long after the tour; unless told, at Ctrl-C, or at once off a terminal."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the history and the order of the traffic.")] = 1,
) -> None:
    """Start Hoptrail, send it real log lines, show a first lineage, and say what to try.

    Everything listens on 127.0.0.1 at free ports. HAProxy is the real one where it is installed; the gateway
    is a stand-in, not Kong, that writes Kong's log entries. Exit code 1 if the account did not come out.
    """
    from pipeline.demo.show import DemoOptions, Show  # noqa: PLC0415 -- only this command needs it

    if seconds is None and not sys.stdout.isatty():
        seconds = 0.0
    options = DemoOptions(data_dir, real_haproxy=real_haproxy, seconds=seconds, seed=seed)

    async def run() -> bool:
        return await Show(options, Console()).run()

    try:
        fine = asyncio.run(run())
    except asyncio.CancelledError:
        raise typer.Exit(_INTERRUPTED) from None
    except BaseExceptionGroup as group:
        raise _first_of_ours(group) from group
    if not fine:
        raise typer.Exit(1)


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the error to report: task groups wrap what a part of the demo raised."""
    error: BaseException = group.subgroup(PipelineError) or group
    while isinstance(error, BaseExceptionGroup) and error is not group:
        error = error.exceptions[0]
    return error
