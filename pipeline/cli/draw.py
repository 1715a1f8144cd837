"""PURE: one lineage as a tree for a person who was woken by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pipeline.cli.draw_facts import facts
from pipeline.cli.draw_lines import Hanging
from pipeline.cli.draw_tree import hop_tree
from pipeline.cli.draw_waterfall import Waterfall
from pipeline.cli.draw_words import MATCHES, duration, moment, status_style, verdict_style
from pipeline.harmless import printable

Document = Mapping[str, Any]

_LONGEST = 400
"""Characters shown of what a client may make as long as it likes."""


def draw_lineage(document: Document) -> RenderableType:
    """Draw a lineage document: what it was, why it ended so, all hops, who, where the time went."""
    parts: list[RenderableType] = [*_header(document), Text(), hop_tree(document), Text(), *facts(document)]
    if document["phases"]:
        total_ms = document["duration_ms"]
        parts += [Text(), Text(f"where the {duration(total_ms)} went", style="bold")]
        parts.append(Waterfall(document["phases"], total_ms))
    return Group(*parts)


def _header(document: Document) -> Iterator[RenderableType]:
    """Say id, request and answer, the verdict, when, and how sure the joining is."""
    yield Text(printable(document["request_id"] or "(no request id)", _LONGEST), style="bold")
    line = Text(f"{printable(document['method'] or '?', 40)} ")
    line.append(_target(document), style="bold")
    status = document["status"]
    yield Hanging(line, Text(str(status or "no answer"), status_style(status)), 4 if status else 10)
    verdict = document["verdict"]
    label = Text(f"{verdict['domain']}:", f"bold {verdict_style(verdict['domain'])}")
    yield Hanging(Text(printable(verdict["text"], _LONGEST)), label, label.cell_len + 1)
    line = Text(f"{moment(document['start_time'])} UTC, {duration(document['duration_ms'])}; ")
    line.append(*_joined(document))
    yield Hanging(line)


def _target(document: Document) -> str:
    """Give host, path and query as one address."""
    scheme = f"{document['scheme']}://" if document["scheme"] and document["host"] else ""
    query = f"?{document['query']}" if document["query"] else ""
    return printable(f"{scheme}{document['host'] or ''}{document['path'] or ''}{query}" or "?", _LONGEST)


def _joined(document: Document) -> tuple[str, str]:
    """Say which halves are there and how sure their joining is, and in which colour."""
    words = f"{document['outcome'].replace('_', ' ')}, {MATCHES[document['match']]}"
    style = "green" if document["outcome"] == "complete" else "yellow"
    if not document["final"]:
        words += ", not final yet"
    return words, "bold red" if document["match"] == "conflict" else style
