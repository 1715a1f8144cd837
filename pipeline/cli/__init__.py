"""The command line: parses arguments, calls one function, sets the exit code.

0 is fine; 1 found nothing, several where one was asked, or a check failed; 2 is wrong usage or configuration.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.cli import (
    check,
    dead_letters,
    demo,
    explain,
    ingest,
    join,
    kafka,
    ledger,
    parse,
    replay,
    report,
    run,
    schema,
    search,
    status,
    trace,
)
from pipeline.errors import ConfigError, PipelineError

__all__ = ["app", "main"]

app = typer.Typer(
    name="hoptrail",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One lineage record per request, joined from HAProxy and Kong logs.",
)
for commands in (
    run,
    ingest,
    join,
    replay,
    trace,
    search,
    ledger,
    report,
    status,
    explain,
    check,
    parse,
    dead_letters,
    schema,
    kafka,
    demo,
):
    commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hoptrail {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version  # its callback has done all there is to do


def main() -> None:
    """Run the command line; every error that Hoptrail raises is one clear line, never a traceback."""
    try:
        app()
    except ConfigError as error:
        typer.echo(f"hoptrail: {error}", err=True)
        sys.exit(2)
    except PipelineError as error:
        typer.echo(f"hoptrail: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has gone; say nothing more into the pipe when the interpreter flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
