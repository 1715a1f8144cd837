"""PURE: the attempts of a request and the tries under them, as branches of its tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from pipeline.cli.draw_lines import Hanging
from pipeline.cli.draw_words import duration, status_style
from pipeline.harmless import printable

Document = Mapping[str, Any]

_CLOCKS_APART_MS = 10.0
"""Nearer than this, which clock is meant makes no difference that is worth words."""
_MOST = 20
"""Attempts and tries drawn of one parent: more is a storm, and JSON has them all."""


def add_attempts(root: Tree, document: Document) -> None:
    """Hang a document's attempts under the edge, oldest first."""
    attempts: Sequence[Document] = document["attempts"]
    node_width = min(24, max((len(printable(attempt["node"] or "?")) for attempt in attempts), default=0))
    for number, attempt in enumerate(attempts[:_MOST], 1):
        branch = root.add(_attempt(number, attempt, node_width, document))
        tries: Sequence[Document] = attempt["tries"]
        for place, one in enumerate(tries[:_MOST]):
            branch.add(Hanging(_try_line(place, one, attempt), indent=7))
        _say_more(branch, len(tries), "tries")
    _say_more(root, len(attempts), "attempts")


def _say_more(branch: Tree, count: int, what: str) -> None:
    if count > _MOST:
        branch.add(Hanging(Text(f"… {count - _MOST} more {what}: -o json has them all", style="yellow")))


def _attempt(number: int, attempt: Document, node_width: int, document: Document) -> Group:
    line = Text().append(f"attempt {number}", style="bold magenta")
    line.append(f"  {printable(attempt['node'] or '?', 24):{node_width}}  ")
    line.append(f"{attempt['status'] or '-':>3}", style=status_style(attempt["status"]))
    line.append(f" by {printable(attempt['source'] or '?', 12):8}")
    line.append(f"{duration(attempt['duration_ms']):>9}  ")
    line.append(*_fate(attempt["delivered"], attempt["delivered_by"]))
    return Group(Hanging(line), *(Hanging(Text(text, "dim")) for text in _details(attempt, document)))


def _fate(delivered: bool | None, delivered_by: str | None) -> tuple[str, str]:
    if delivered_by == "evidence":
        return "✓ delivered, by evidence", "green"
    if delivered is None:
        return "? delivery unknown", "yellow"
    return ("✓ delivered", "bold green") if delivered else ("✗ discarded", "bold red")


def _details(attempt: Document, document: Document) -> Iterator[str]:
    """Say where an attempt went and under which ids, in lines that are left out where nothing is known."""
    way = [printable(attempt[name], 80) for name in ("service", "route") if attempt[name]]
    where = "service " + way[0] if attempt["service"] else "no service"
    where += f", route {way[-1]}" if attempt["route"] else ""
    where += f" → {printable(attempt['upstream_uri'], 160)}" if attempt["upstream_uri"] else ""
    yield where if way else "no route"
    if attempt["gateway_request_id"]:
        yield f"id {printable(attempt['gateway_request_id'], 80)}{_began(attempt, document)}"
    others = [one for one in attempt["request_ids"] if one != document["request_id"]]
    if others:
        yield f"request ids received besides: {printable(', '.join(others), 200)}"


def _began(attempt: Document, document: Document) -> str:
    """Say how far into the request an attempt began: by its own clock, set right as far as it must be.

    A child is drawn within its parent, as near as that allows to what the clocks' estimated offset says.
    """
    start = datetime.fromisoformat(document["start_time"])
    logged_ms = (datetime.fromisoformat(attempt["started_at"]) - start).total_seconds() * 1000
    if document["edge"] is None:
        return f", began after {duration(logged_ms)}"
    latest_ms = max(0.0, document["duration_ms"] - (attempt["duration_ms"] or 0.0))
    into_ms = min(max(logged_ms - (document["clock_offset_ms"] or 0.0), 0.0), latest_ms)
    if abs(into_ms - logged_ms) < _CLOCKS_APART_MS and 0 <= logged_ms <= document["duration_ms"]:
        return f", began after {duration(logged_ms)}"
    return f", began after {duration(into_ms)} (clocks set right)"


def _try_line(place: int, one: Document, attempt: Document) -> Text:
    """Say what one upstream target did; nginx's list of statuses knows it best."""
    line = Text(f"try {place + 1}  ")
    ip = one["ip"] or "?"
    target = f"[{ip}]" if ":" in ip else ip
    line.append(printable(f"{target}:{one['port'] or '?'}", 60))
    statuses = attempt["upstream_status"]
    status = statuses[place] if place < len(statuses) and statuses[place] != "-" else one["code"]
    code = f" {printable(str(status), 12)}" if status is not None else ""
    if one["state"]:
        line.append(f"  ✗ {printable(one['state'], 12)}{code}", style="red")
    elif attempt["source"] == "kong":
        line.append(f"  ✗ no valid answer{code}", style="red")
    elif code:
        line.append(f"  answered{code}", style="green" if code < " 4" else "yellow")
    return line
