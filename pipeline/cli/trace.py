"""`hoptrail trace ID`: the whole story of one request, by any id that somebody has of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.rule import Rule

from pipeline.cli.connect import Asked, ConfigOption, DataDirOption, StoreOption, UrlOption, reading
from pipeline.cli.draw import draw_lineage
from pipeline.cli.draw_table import lineage_columns
from pipeline.cli.lineage_rows import lineage_row
from pipeline.cli.output import Output, OutputOption, draw, say, seen_width, write_json, write_rows
from pipeline.cli.search_options import span_us
from pipeline.document import lineage_document
from pipeline.errors import ConfigError
from pipeline.join.trace import trace_id_of
from pipeline.store.find import MOST, SHORTEST_PREFIX, Found, find

_DRAWN = 5
"""Lineages under one id that are drawn; more are listed."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(trace)


def trace(
    wanted_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Request id, gateway request id, trace id, traceparent, or a prefix of one."
        ),
    ],
    since: Annotated[
        str, typer.Option(help="How far back from the newest data a prefix is looked for: 15m, 24h, 7d.")
    ] = "24h",
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show everything about one request: its attempts and tries, who made it, where the time went, and why.

    A whole id is looked for everywhere, a prefix (6 characters or more) within --since of the newest data.
    Exit code 1 where nothing was found, or a prefix fits several.
    """
    text, span_s = wanted_id.strip(), span_us("--since", since) // 1_000_000
    if not text:
        raise ConfigError("trace needs an id: a request id, gateway request id, trace id or traceparent")
    with reading(Asked(store, url, data_dir, config_file)) as reader:
        found = find(reader.client, text, trace_id_of(text.lower()), span_s)
    if not found.lineages:
        say(f"nothing found for {text!r} in {reader.place}: {_looked_for(text, found)}")
        raise typer.Exit(1)
    is_ambiguous = found.by_prefix and len(found.lineages) > 1
    _write([lineage_document(lineage) for lineage in found.lineages], output, is_ambiguous=is_ambiguous)
    if len(found.lineages) >= MOST:
        say(f"only {MOST} are shown, there may be more")
    if is_ambiguous:
        say(f"{text!r} begins the ids of {len(found.lineages)} requests: give more of it")
        raise typer.Exit(1)


def _looked_for(text: str, found: Found) -> str:
    """Say what was searched, for whoever wonders why it is not there."""
    if found.since_s == 0:
        return "it is empty"
    whole = "no request id, gateway request id or trace id is equal to it"
    if found.since_s is not None:
        since = datetime.fromtimestamp(found.since_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{whole}, and since {since} none begins with it (--since looks further back)"
    if len(text) < SHORTEST_PREFIX:
        return f"{whole}; as a prefix it would need {SHORTEST_PREFIX} characters"
    return whole


def _write(documents: Sequence[dict[str, Any]], output: Output, *, is_ambiguous: bool) -> None:
    if output is Output.CSV:
        write_rows(map(lineage_row, documents), output, ())
    elif output is Output.JSON and len(documents) == 1:
        write_json(documents[0])
    elif output is not Output.TABLE or is_ambiguous or len(documents) > _DRAWN:
        write_rows(documents, output, lineage_columns(documents, seen_width()))
    else:
        for place, document in enumerate(documents):
            draw(*([Rule(style="dim")] if place else []), draw_lineage(document))
