"""`hoptrail search`: which requests were so and so, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from pipeline.cli.connect import Asked, ConfigOption, DataDirOption, StoreOption, UrlOption, reading
from pipeline.cli.draw_table import lineage_columns
from pipeline.cli.lineage_rows import lineage_row
from pipeline.cli.output import MOST_SHOWN, Output, OutputOption, say, seen_width, write_rows
from pipeline.cli.search_options import moment_us, networks, one_of, status_ranges
from pipeline.clock import SystemClock
from pipeline.document import lineage_document
from pipeline.formats import flags as record_flags
from pipeline.join import bucket, lineage_flags
from pipeline.join.expect import MISSING
from pipeline.store.conditions import Wanted
from pipeline.store.search import search as search_store

_OUTCOMES = ("complete", "edge_only", "gateway_only")


def known_flags() -> tuple[str, ...]:
    """Give every flag that a lineage may carry."""
    modules = (record_flags, lineage_flags, bucket)
    names = ((module, name) for module in modules for name in vars(module))
    values = (getattr(module, name) for module, name in names if name.isupper() and name[0] != "_")
    return tuple(sorted({value for value in values if isinstance(value, str)}))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(search)


Words = list[str] | None


def search(
    since: Annotated[
        str | None, typer.Option(help="Begun at or after: 15m, 24h, 7d ago, or RFC 3339.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Begun before: the same.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="Most lineages shown.")] = 50,
    status: Annotated[Words, typer.Option(help="503, 5xx or '>=400', of what the client got.")] = None,
    method: Annotated[Words, typer.Option(help="Request method.")] = None,
    path: Annotated[Words, typer.Option(help="A prefix, or a pattern with * and ?.")] = None,
    host: Annotated[Words, typer.Option(help="Host, or a pattern with * and ?.")] = None,
    service: Annotated[Words, typer.Option(help="Kong's service, of any attempt.")] = None,
    route: Annotated[Words, typer.Option(help="Kong's route, of any attempt.")] = None,
    consumer: Annotated[Words, typer.Option(help="Name or any id of who is proven to have asked.")] = None,
    client_ip: Annotated[Words, typer.Option(help="Address or network, 203.0.113.0/24.")] = None,
    outcome: Annotated[Words, typer.Option(help="complete, edge_only or gateway_only.")] = None,
    missing: Annotated[Words, typer.Option(help="Why a half is missing, such as denied_at_edge.")] = None,
    flag: Annotated[Words, typer.Option(help="What is worth a second look, such as id_reuse.")] = None,
    min_duration_ms: Annotated[float | None, typer.Option(min=0, help="Took so long or longer.")] = None,
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List requests, newest first. An option given again widens it; different options narrow the search.

    Exit code 1 where nothing was found.
    """
    now_us = SystemClock().now_ns() // 1000
    wanted = Wanted(
        since_us=moment_us("--since", since, now_us) if since else None,
        until_us=moment_us("--until", until, now_us) if until else None,
        status=status_ranges(status or ()),
        method=[word.upper() for word in method or ()],
        path=path or (),
        host=host or (),
        service=service or (),
        route=route or (),
        consumer=consumer or (),
        client_ip=networks(client_ip or ()),
        outcome=one_of("--outcome", outcome or (), _OUTCOMES),
        missing=one_of("--missing", missing or (), MISSING),
        flag=one_of("--flag", flag or (), known_flags()),
        min_duration_ms=min_duration_ms,
    )
    with reading(Asked(store, url, data_dir, config_file)) as reader:
        lineages = search_store(reader.client, wanted, limit + 1)
        shown = _write(map(lineage_document, islice(lineages, limit)), output)
        has_more = shown == limit and next(lineages, None) is not None
    if not shown:
        narrowed = wanted.words()
        say(f"nothing found in {reader.place}" + (f" for {narrowed}" if narrowed else ", it is empty"))
        raise typer.Exit(1)
    if has_more:
        say(f"the newest {limit} are shown, more match: narrow the search, or raise --limit")


def _write(documents: Iterator[dict[str, Any]], output: Output) -> int:
    """Write what was found; a table is laid out whole, everything else as it comes."""
    if output is not Output.TABLE:
        rows: Iterable[dict[str, Any]] = map(lineage_row, documents) if output is Output.CSV else documents
        return write_rows(rows, output, ())
    found = list(documents)
    if found:
        write_rows(found, output, lineage_columns(found, seen_width()))
    return len(found)
