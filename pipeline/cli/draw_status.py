"""PURE: the state of the pipeline for a person who asks whether anything is lost or late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.cli.draw_lines import Hanging
from pipeline.cli.draw_words import duration, moment, size
from pipeline.cli.ledger_document import gap_words
from pipeline.harmless import printable

Document = Mapping[str, Any]

_WAYS_OUT = ("stored", "event", "duplicate", "dead_letter", "dropped", "pending")
_INDENT = 9
_FULL_ENOUGH = 0.8
_LATE_S = 60.0
_SILENT_S = 300.0


def draw_status(document: Document) -> Iterator[RenderableType]:
    """Draw a status document; what it lacks (a stopped process has no join) is left out."""
    yield _headline(document)
    if "sources" in document:
        yield Text()
        yield _account(document["sources"])
        yield from _reasons(document["sources"])
        yield from _lateness(document["sources"])
    yield Text()
    for label, say in (
        ("join", _join),
        ("bus", _bus),
        ("ledger", _ledger),
        ("spans", _spans),
        ("store", _store),
    ):
        if label in document:
            yield Hanging(say(document[label]), label, _INDENT)


def _headline(document: Document) -> Text:
    if "running" not in document:
        return Text("a store, without the process that fills it", style="bold")
    if not document["running"]:
        line = Text().append("not running", style="bold yellow")
        line.append(f"; what {printable(document['data_dir'])} holds:")
        return line
    line = Text().append(f"hoptrail {document['version']} runs", style="bold green")
    line.append(f" as process {document['pid']}")
    if "lag_s" not in document:
        return line  # an ingest process reads nothing back
    line.append(", ")
    lag_s = document["lag_s"]
    words = "reading is up to date" if lag_s == 0 else f"{duration(lag_s * 1000)} behind"
    line.append(words, style="default" if lag_s < _LATE_S else "bold red")
    return line


def _account(sources: Document) -> Table:
    """Draw what came in and every way it left; the columns add up."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("source")
    for title in ("received", *_WAYS_OUT):
        table.add_column(title.removesuffix("_letter"), justify="right", no_wrap=True)
    has_arrivals = any("silent_s" in row for row in sources.values())
    if has_arrivals:
        table.add_column("last heard", no_wrap=True)
    for name, row in sources.items():
        cells = [Text(name), Text(f"{row['received']:,}")]
        for way in _WAYS_OUT:
            is_loss = way in {"dead_letter", "dropped"} and row[way] > 0
            cells.append(Text(f"{row[way]:,}", style="bold red" if is_loss else ""))
        if has_arrivals:
            cells.append(_last_heard(row.get("silent_s")))
        table.add_row(*cells)
    return table


def _last_heard(silent_s: float | None) -> Text:
    if silent_s is None:
        return Text("never", style="yellow")
    return Text(f"{duration(silent_s * 1000)} ago", style="yellow" if silent_s > _SILENT_S else "")


def _reasons(sources: Document) -> Iterator[Text]:
    """Say whether the account adds up, and why records were lost."""
    gaps = [name for name, row in sources.items() if row["received"] != sum(row[way] for way in _WAYS_OUT)]
    if gaps:
        yield Text(f"✗ the account of {', '.join(gaps)} does not add up", style="bold red")
    else:
        yield Text("✓ it adds up: every record that came in is in exactly one column", style="green")
    for name, row in sources.items():
        for what, reasons in (("dropped", row["drop_reasons"]), ("dead letters", row["dead_letter_reasons"])):
            if reasons:
                listed = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
                yield Text(printable(f"{name} {what}: {listed}"), style="red")


def _lateness(sources: Document) -> Iterator[Text]:
    """Say how late each source's records come, and second halves behind first ones."""
    for name, row in sources.items():
        late, second = row.get("lateness_s"), row.get("second_half_s")
        if late is None:
            continue
        line = Text(f"{name} comes {_quantiles(late)} after the request's end")
        if second is not None:
            line.append(f"; behind the other half {_quantiles(second)}")
        yield line


def _quantiles(spread: Document) -> str:
    median, most, all_of_them = (_signed(spread[name]) for name in ("p50", "p99", "max"))
    return f"{median} (99 % {most}, at most {all_of_them})"


def _signed(seconds: float) -> str:
    return ("-" if seconds < 0 else "") + duration(abs(seconds) * 1000)


def _join(join: Document) -> Text:
    line = Text(f"{join['pending']:,} waiting ({size(join['pending_bytes'])})")
    if join["oldest_s"] is not None:
        line.append(f", the oldest for {duration(join['oldest_s'] * 1000)}")
    line.append(f"; window {join['window_s']:g} s; {join['late']:,} came late")
    line.append(f", {join['evicted']:,} given up", style="bold red" if join["evicted"] else "")
    return line


def _bus(bus: Document) -> Text:
    line = Text().append(f"{bus['fill']:.1%} full", style="bold red" if bus["fill"] >= _FULL_ENOUGH else "")
    if "end" in bus:
        line.append(f"; records not committed: {bus['end'] - bus['committed']:,}")
    if "partitions" in bus:
        behind = sum(sum(one["lag_messages"].values()) for one in bus["partitions"].values())
        line = Text(f"{len(bus['partitions'])} partitions are this process's, {behind:,} messages to be read")
    return line


def _ledger(ledger: Document) -> Text:
    """Say what HAProxy's own counting says, and when the ledger was written."""
    edge = ledger["edge_lines"]
    lost, dropped = edge["missing"], edge["dropped_by_edge"]
    minutes = f"{edge['period_s'] // 60} minutes"
    line = Text()
    if edge["looked_at"] is None:
        line.append("lost lines are looked for at the next full minute")
    elif lost:
        line.append(
            f"{lost:,} lines that HAProxy counted in the last {minutes} did not come", style="bold red"
        )
    else:
        line.append(f"no line that HAProxy counted in the last {minutes} is missing")
    if dropped:
        line.append(f"; HAProxy threw away {dropped:,} itself", style="bold red")
    for gap in edge["gaps"][:3]:
        line.append(printable(f"; {gap_words(gap)}"), style="red")
    return line


def _spans(spans: Document) -> Text:
    """Say what became of all spans, and what the receiver says."""
    line = Text(f"{spans['received']:,} made, {spans['sent']:,} sent, {spans['queued']:,} waiting")
    line.append(f" ({size(spans['queued_bytes'])})" if spans["queued"] else "")
    if spans["dropped"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(spans["drop_reasons"].items()))
        line.append(printable(f", {spans['dropped']:,} dropped: {reasons}"), style="bold red")
    if spans.get("lag_messages"):
        line.append(f"; {spans['lag_messages']:,} messages on their topic are not sent")
    if spans.get("messages_gone"):
        line.append(f"; {spans['messages_gone']:,} messages were gone unread", style="bold red")
    if spans.get("trouble"):
        line.append(printable(f"; {spans['endpoint']} says: {spans['trouble']}"), style="yellow")
    return line


_TABLES = {
    "lineage_rows": "lineage rows",
    "edge_event_versions": "edge events",
    "dead_letter_versions": "dead letters",
    "ledger_versions": "ledger rows",
}


def _store(store: Document) -> Text:
    """Say where a store is, how much it holds, of which stretch of time."""
    if "error" in store:
        return Text(printable(store["error"]), style="red")
    counts = store["rows"]
    rows = ", ".join(f"{words} {counts[name]:,}" for name, words in _TABLES.items() if name in counts)
    line = Text(printable(f"{store['dsn']}: {rows or 'no rows'}; {size(store['bytes_on_disk'])}"))
    if store["first_bucket"] is not None:
        line.append(f"; from {moment(store['first_bucket'])} to {moment(store['last_bucket'])} UTC")
    errors = store.get("write_errors", 0)
    line.append(f"; {errors:,} writes failed and were tried again" if errors else "", style="bold red")
    return line
