"""`hoptrail replay`: log files through the same rooms as live traffic, and what became of each record."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol

import orjson
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.cli.output import Column, Output, OutputOption, console, say, write_json, write_rows
from pipeline.cli.run import ConfigFile
from pipeline.config import Config, load_config
from pipeline.data_dir import make_private
from pipeline.errors import ConfigError
from pipeline.interpreter import tune
from pipeline.model import Source

_DAY_S = 86_400
_OnProgress = Callable[[Source, int, int | None], None]
_ALONE_S = 2.0
"""The window where no other halves can come but those in the store, which is asked anyway: what a request's own
copies and attempts are apart, most of them."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    haproxy: Annotated[
        list[Path] | None,
        typer.Option(help="HAProxy's log: plain, .gz, .zst, or -; may be given again.", metavar="FILE"),
    ] = None,
    kong: Annotated[
        list[Path] | None,
        typer.Option(help="Kong's log: one http-log body a line, .gz, .zst, or -.", metavar="FILE"),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(help="HAProxy's log-format string, or a built-in name.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Zone of dates that HAProxy wrote without one (UTC).")
    ] = None,
    store: Annotated[str | None, typer.Option(help="chdb:///absolute/dir or clickhouse://…")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Holds the embedded store unless --store is given.")
    ] = None,
    window_s: Annotated[
        float | None,
        typer.Option(
            help="Seconds a record waits for its other half, in the time of the logs (2 where files of one side alone "
            "are given)."
        ),
    ] = None,
    spans: Annotated[
        bool, typer.Option("--spans", help="Send spans too; without it history stays here.")
    ] = False,
    output: OutputOption = Output.TABLE,
    config_file: ConfigFile = None,
) -> None:
    """Take log files in as if they came now, wait until all is stored, and print what became of each record.

    Files of both sides are merged by time. A lineage that the store holds already is united with what is new;
    the same files again change nothing. Exit code 0 when all was read, 1 when a file broke off.
    """
    files = {Source.HAPROXY: haproxy or [], Source.KONG: kong or []}
    if not any(files.values()):
        raise ConfigError("nothing to replay: give --haproxy FILE, --kong FILE, or both")
    if window_s is None and not all(files.values()):
        window_s = _ALONE_S
    options = {
        "data_dir": data_dir,
        "store.dsn": store,
        "join.window_s": window_s,
        "sources.syslog.log_format": log_format,
        "sources.syslog.time_zone": time_zone,
    }
    config = load_config(config_file, options)
    if spans and not config.otlp.sends_spans:
        raise ConfigError("--spans: name a receiver in otlp.endpoint")
    with _progress() as on_progress:
        account, faults = asyncio.run(_replay(config, files, on_progress, spans=spans))
    _print(account, output)
    for fault in faults:
        typer.echo(f"hoptrail: {fault}", err=True)
    if faults:
        raise typer.Exit(1)


async def _replay(
    config: Config, files: Mapping[Source, list[Path]], on_progress: _OnProgress, *, spans: bool
) -> tuple[dict[str, Any], list[str]]:
    """Run the rooms between files and store until both are done; gives the account and files' faults."""
    # The engine of the store takes a second to load: not for those who only ask for help.
    from pipeline.bus.memory import MemoryBus  # noqa: PLC0415
    from pipeline.clock import SystemClock  # noqa: PLC0415
    from pipeline.formats.times import Dates  # noqa: PLC0415
    from pipeline.parsers import make_parsers  # noqa: PLC0415
    from pipeline.sinks.clickhouse import open_sink  # noqa: PLC0415
    from pipeline.sinks.otlp import SpanExport, open_spans, span_document  # noqa: PLC0415
    from pipeline.sinks.otlp.unhurried import Unhurried  # noqa: PLC0415
    from pipeline.sources.replay import Replay  # noqa: PLC0415
    from pipeline.sources.stats import SourceStats  # noqa: PLC0415
    from pipeline.status import replay_document  # noqa: PLC0415
    from pipeline.store.retention import Kept  # noqa: PLC0415
    from pipeline.topology import make_engine, make_ledger  # noqa: PLC0415

    tune(answers=False)
    source = Replay(files, Dates(config.sources.syslog.time_zone))
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(open_sink(config.store_dsn))
        days = (await sink.retention()).get("lineage", Kept()).days
        bus = MemoryBus()
        sending: SpanExport | None = None
        ledger, _ = make_ledger(bus, sink, clock, SourceStats(), lambda: sending)
        await stack.enter_async_context(ledger)
        if spans:
            queue = open_spans(config.otlp, make_private(config.data_dir), config.drain_s)
            sending = await stack.enter_async_context(queue)
        keeper = Unhurried(sending, config.otlp.queue_bytes // 2) if sending else None
        engine = make_engine(
            config,
            bus=bus,
            store=sink,
            clock=clock,
            parsers=make_parsers(config),
            event_time=True,
            spans=keeper,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(engine.run())
            warn = _Warning(days, clock.now_ns() // 10**9)
            report = await source.run(bus, clock, warn.beside(on_progress, engine.progress))
            engine.drain(flush=True)
        warn.look(engine.progress.first_bucket_s)
        await sink.count_minutes(at_once=True)
        counts = await sink.count(engine.progress.first_bucket_s, engine.progress.last_bucket_s)
        document = replay_document(bus.account(), counts.lineages, counts.attempts)
        if sending and keeper:
            await keeper.finish()
            document["spans"] = span_document(sending.account())
        return document, report.faults


class _Written(Protocol):
    """Of `engine.Progress`: how far back rows were written."""

    first_bucket_s: int | None


class _Warning:
    """Says once, as soon as it is seen, that records are older than what the store keeps.

    Args:
        days: How long it keeps lineages; None: for good.
        now_s: UTC epoch seconds.
    """

    def __init__(self, days: int | None, now_s: int) -> None:
        self._days = days
        self._from_s = now_s - days * _DAY_S if days else None

    def beside(self, on_progress: _OnProgress, seen: _Written) -> _OnProgress:
        """Look each time that progress is told."""

        def look_too(source: Source, read: int, total: int | None) -> None:
            on_progress(source, read, total)
            self.look(seen.first_bucket_s)

        return look_too

    def look(self, first_bucket_s: int | None) -> None:
        """Warn where the oldest bucket so far is dropped already."""
        if self._from_s is None or first_bucket_s is None or first_bucket_s >= self._from_s:
            return
        day = datetime.fromtimestamp(first_bucket_s, UTC).date()
        say(
            f"hoptrail: warning: records of {day} are older than the {self._days} days that this store keeps: it "
            "will drop them again; hoptrail schema retention apply --lineage off keeps them"
        )
        self._from_s = None


@contextmanager
def _progress() -> Iterator[_OnProgress]:
    """Show a bar for each source on standard error, where that is a terminal."""
    columns = (TextColumn("{task.description:8}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console(stderr=True), disable=not sys.stderr.isatty(), transient=True
    ) as bars:
        tasks: dict[Source, Any] = {}

        def on_progress(source: Source, read: int, total: int | None) -> None:
            if source not in tasks:
                tasks[source] = bars.add_task(source.value, total=total)
            bars.update(tasks[source], completed=read, total=total)

        yield on_progress


_OUTCOMES = ("received", "stored", "event", "duplicate", "dead_letter", "dropped", "pending")


def _counted(name: str, row: Mapping[str, Any]) -> str:
    return f"{row[name]:,}"


_COLUMNS = [
    Column("source", lambda row: str(row["source"])),
    *(Column(name, partial(_counted, name), right=True) for name in _OUTCOMES),
]


def _print(account: Mapping[str, Any], output: Output) -> None:
    rows = [{"source": source, **row} for source, row in account["sources"].items()]
    if output is Output.JSON:
        write_json(account)
    elif output is Output.JSONL:
        typer.echo(orjson.dumps(account).decode())
    else:
        write_rows(rows, output, _COLUMNS)
    if output is Output.TABLE:
        lineages = account["lineages"]
        by_outcome = ", ".join(f"{count:,} {name}" for name, count in lineages.items())
        typer.echo(
            f"\n{sum(lineages.values()):,} lineages in the store for this period: {by_outcome}; "
            f"{account['attempts']:,} attempts"
        )
        if "spans" in account:
            told = account["spans"]
            typer.echo(
                f"spans: {told['sent']:,} sent, {told['dropped']:,} dropped, {told['queued']:,} waiting"
            )
