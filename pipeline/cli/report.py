"""`hoptrail report`: evidence for auditors, with a manifest that says what lacks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline import __version__
from pipeline.cli.connect import Asked, ConfigOption, DataDirOption, Reader, StoreOption, UrlOption, reading
from pipeline.cli.ledger import gather
from pipeline.cli.ledger_document import ledger_document
from pipeline.cli.output import console, say
from pipeline.cli.search_options import moment_us, status_ranges
from pipeline.clock import SystemClock
from pipeline.errors import ConfigError
from pipeline.report.access import asked_for, dead_letters_of, made_now, write_rows
from pipeline.report.files import Form, facts_of, write_manifest
from pipeline.report.manifest import completeness, manifest
from pipeline.report.verify import faults_of
from pipeline.store.conditions import Wanted
from pipeline.store.period import count_of

_MINUTE_US = 60_000_000

commands = typer.Typer(no_args_is_help=True, help="Write evidence for auditors.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(commands, name="report")


Words = list[str] | None


@commands.command()
def access(
    since: Annotated[
        str, typer.Option("--from", help="Begin of the period, in it: 2026-07-01, RFC 3339, 7d.")
    ],
    until: Annotated[str, typer.Option("--to", help="End of the period, not in it; UTC unless it says.")],
    identity: Annotated[Words, typer.Option(help="Name or any id of who is proven to have asked.")] = None,
    service: Annotated[Words, typer.Option(help="Kong's service, of any attempt.")] = None,
    route: Annotated[Words, typer.Option(help="Kong's route, of any attempt.")] = None,
    status: Annotated[Words, typer.Option(help="503, 4xx or '>=400'; all unless told.")] = None,
    form: Annotated[Form, typer.Option("--output", "-o", help="Form of the file.")] = Form.CSV,
    out: Annotated[Path | None, typer.Option(help="File; access_FROM_TO.FORM here unless told.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
) -> None:
    """Write who asked for what in a period, failed and anonymous requests included, oldest first.

    Beside the file stands FILE.manifest.json: period and filters, counts by outcome, status and identity, whether
    anything is known to lack, and digests. CSV is safe to open in a spreadsheet, JSON lines hold whole lineages,
    Parquet has the columns of CSV. The same data gives the same bytes.

    Exit code 0 where the report is complete, 1 where something is known to lack or nobody watched.
    """
    wanted, filters = _wanted(since, until, identity, service, route, status)
    path = out or Path(f"access_{_day(since)}_{_day(until)}.{form}")
    beside = path.parent / f"{path.name}.manifest.json"
    for file in (path, beside):
        if file.is_dir():
            raise ConfigError(f"--out {file} is a directory: name a file in it")
        if file.exists() and not force:
            raise ConfigError(f"{file} is there already: give --out, or --force to write over it")
    with reading(Asked(store, url, data_dir, config_file)) as reader:
        document = _write(reader, wanted, filters, path, form)
    write_manifest(beside, document)
    state = document["completeness"]["state"]
    say(f"{document['rows']} rows in {path}, {state}; {beside}")
    for reason in document["completeness"]["because"]:
        say(f"  {reason}")
    if state != "complete":
        raise typer.Exit(1)


@commands.command()
def verify(
    manifest_file: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="FILE.manifest.json of a report.")
    ],
) -> None:
    """Say whether the files of a report are still those that were written; asks no store.

    A manifest carries no signature: it proves that its files are unchanged, if it is unchanged itself.

    Exit code 1 where a file was changed or is gone.
    """
    faults = faults_of(manifest_file)
    for fault in faults:
        say(f"✗ {fault}")
    if faults:
        raise typer.Exit(1)
    say(f"✓ {manifest_file}: every file is as it was written")


def _wanted(
    since: str, until: str, identity: Words, service: Words, route: Words, status: Words
) -> tuple[Wanted, dict[str, Any]]:
    now_us = SystemClock().now_ns() // 1000
    since_us, until_us = moment_us("--from", since, now_us), moment_us("--to", until, now_us)
    if since_us >= until_us:
        raise ConfigError("--from must be before --to")
    given = {"identity": identity, "service": service, "route": route, "status": status}
    wanted = Wanted(
        since_us=since_us,
        until_us=until_us,
        consumer=identity or (),
        service=service or (),
        route=route or (),
        status=status_ranges(status or ()),
    )
    return wanted, {name: words for name, words in given.items() if words}


def _day(text: str) -> str:
    """Make a time a part of a file's name."""
    return "".join(char for char in text if char.isalnum() or char == "-")


def _write(reader: Reader, wanted: Wanted, filters: dict[str, Any], path: Path, form: Form) -> dict[str, Any]:
    """Write the rows; give the manifest."""
    client, since_us, until_us = reader.client, wanted.since_us or 0, wanted.until_us or 0
    asked_us = SystemClock().now_ns() // 1000
    with _progress(count_of(client, wanted)) as on_rows:
        tally, changed_cells = write_rows(client, wanted, path, form, on_rows)
    minutes = since_us // _MINUTE_US, -(-until_us // _MINUTE_US)
    evidence = gather(client, minutes[0] * 60, minutes[1] * 60, check=False)
    now_us = SystemClock().now_ns() // 1000
    return manifest(
        asked=asked_for(wanted, filters),
        made=made_now(now_us, reader.place, __version__),
        tally=tally,
        whole=completeness(
            tally,
            ledger_document(evidence),
            dead_letters_of(client, wanted),
            is_over=until_us + _MINUTE_US <= asked_us,
        ),
        form=form,
        changed_cells=changed_cells,
        files=[facts_of(path)],
    )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error, where that is a terminal."""
    columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console(stderr=True), disable=not sys.stderr.isatty(), transient=True
    ) as bars:
        task = bars.add_task("rows", total=total)
        yield lambda rows: bars.update(task, completed=rows)
