"""`hoptrail ledger`: what became of every record of a period, and what never came."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import typer
from clickhouse_connect.driver import Client
from rich.console import RenderableType
from rich.text import Text

from pipeline.cli.connect import Asked, ConfigOption, DataDirOption, StoreOption, UrlOption, reading
from pipeline.cli.ledger_document import (
    Evidence,
    ledger_document,
    messages_gone,
    minute_rows,
    reconciles,
    statement,
)
from pipeline.cli.output import Output, OutputOption, draw, write_json, write_rows
from pipeline.cli.search_options import moment_us
from pipeline.errors import ConfigError
from pipeline.harmless import printable
from pipeline.store.gaps import edge_loss, is_settled, processes
from pipeline.store.ledger import committed, kept, read_ledger

_MINUTE_S = 60
_DAY_S = 25 * 3600
_MICROSECONDS = 10**6


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(ledger)


def ledger(
    since: Annotated[
        str, typer.Option(help="Begin of the period: 15m, 2h, 7d, or a date and time, UTC unless it says.")
    ] = "1h",
    until: Annotated[str | None, typer.Option(help="Its end, in the same forms; now unless given.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Count what rests in the store too; exit 1 where something lacks.")
    ] = False,
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Account for every record of a period, minute by minute, in words that can be quoted.

    Whole minutes, UTC. The table and JSON give the sums, the gaps in HAProxy's log counter and a statement;
    JSON lines and CSV give one row a minute and source. Exit code 0, with --check 1 where the account does not
    add up, the store holds more or less than it says, lines of HAProxy's are missing, or there is no account.
    """
    now_us = time.time_ns() // 1000
    since_s = moment_us("--since", since, now_us) // _MICROSECONDS // _MINUTE_S * _MINUTE_S
    end_us = moment_us("--until", until, now_us) if until else now_us
    until_s = -(-end_us // _MICROSECONDS // _MINUTE_S) * _MINUTE_S
    if since_s >= until_s:
        raise ConfigError("--since must be before --until")
    with reading(Asked(store, url, data_dir, config_file)) as reader:
        evidence = gather(reader.client, since_s, until_s, check=check)
    if output is Output.JSON:
        write_json(ledger_document(evidence))
    elif output is Output.TABLE:
        draw(*_drawn(evidence))
    else:
        write_rows(minute_rows(evidence.ledger), output, ())
    if check and (
        not evidence.ledger.sources() or evidence.gaps or _gone(evidence) or not reconciles(evidence)
    ):
        raise typer.Exit(1)


def gather(client: Client, since_s: int, until_s: int, *, check: bool) -> Evidence:
    """Ask a store all that an account of a period needs.

    Args:
        client: Of the store.
        since_s: Begin, UTC epoch seconds, a whole minute.
        until_s: End, which does not belong to it.
        check: Also count what rests in the store.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    loss, done, now_s = edge_loss(client, since_s, until_s), committed(client), time.time()
    gaps = [gap for gap in loss.gaps if is_settled(gap, done, now_s)]
    return Evidence(
        since_s,
        until_s,
        read_ledger(client, since_s, until_s),
        processes(client, since_s, until_s),
        gaps,
        sum(gap.missing for gap in loss.gaps) - sum(gap.missing for gap in gaps),
        loss.dropped,
        *_requests(client, since_s, until_s),
        kept(client) if check else (),
        over_s=int(now_s) // _MINUTE_S * _MINUTE_S,
    )


def _requests(client: Client, since_s: int, until_s: int) -> tuple[int, dict[str, int]]:
    """Give the lines without a counter, and the requests that began in the period by outcome and reason."""
    rows = client.query(
        "SELECT toString(outcome), toString(missing), count(), countIf(has_edge AND isNull(`edge.log_counter`)) "
        "FROM lineage WHERE start_time >= toDateTime({since:Int64}, 'UTC') "
        "AND start_time < toDateTime({until:Int64}, 'UTC') "
        "AND bucket BETWEEN toDateTime({first:Int64}, 'UTC') AND toDateTime({last:Int64}, 'UTC') "
        "GROUP BY outcome, missing ORDER BY outcome, missing",
        {
            "since": since_s,
            "until": until_s,
            "first": max(0, since_s - _DAY_S),
            "last": until_s + _DAY_S,
        },
    ).result_rows
    found = {
        f"{outcome} ({missing})" if missing else str(outcome): int(count)
        for outcome, missing, count, _ in rows
    }
    return sum(int(row[3]) for row in rows), found


def _drawn(evidence: Evidence) -> Iterator[RenderableType]:
    """Draw the statement: each sentence a line, what is wrong in red."""
    for sentence in statement(evidence):
        is_bad = (
            "cannot be accounted for" in sentence
            or sentence.startswith("Missing:")
            or "retention" in sentence
        )
        yield Text(printable(sentence), style="red" if is_bad else "")
    yield Text()
    good = reconciles(evidence) and not evidence.gaps and not _gone(evidence)
    yield Text(_verdict(evidence), style="bold green" if good else "bold red")


def _gone(evidence: Evidence) -> int:
    return sum(messages_gone(evidence.ledger, source) for source in evidence.ledger.sources())


def _verdict(evidence: Evidence) -> str:
    if not evidence.ledger.sources():
        return "? there is nothing to account for"
    if not reconciles(evidence):
        return "✗ the account does not add up"
    if gone := _gone(evidence):
        return f"✗ the account adds up; {gone:,} messages were gone before they were read"
    missing = sum(gap.missing for gap in evidence.gaps)
    if missing:
        return f"✗ the account adds up; {missing:,} lines of HAProxy's never came"
    return "✓ the account adds up, and no line is known to be missing"
