"""PURE: what holds for a whole request: who made it, its trace, its client, its flags with their meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from pipeline.cli.draw_lines import Hanging
from pipeline.cli.draw_words import FLAGS, duration
from pipeline.harmless import printable

Document = Mapping[str, Any]

_INDENT = 10
_TRACE_SOURCES = {"edge": "set by the edge", "kong": "made by Kong", "traceparent": "as Kong received it"}


def facts(document: Document) -> Iterator[Hanging]:
    """Give one hanging line a fact; flags last, where the eye ends."""
    yield Hanging(_identity(document["identity"]), "identity", _INDENT)
    if document["trace_id"]:
        source = _TRACE_SOURCES.get(document["trace_id_source"] or "", "")
        yield Hanging(Text(f"{document['trace_id']} ({source})"), "trace", _INDENT)
    if document["user_agent"]:
        yield Hanging(Text(printable(document["user_agent"], 200)), "agent", _INDENT)
    if document["clock_offset_ms"] is not None:
        side = "ahead of" if document["clock_offset_ms"] >= 0 else "behind"
        words = f"the gateway's is {duration(abs(document['clock_offset_ms']))} {side} the edge's"
        yield Hanging(Text(words), "clocks", _INDENT)
    for place, flag in enumerate(document["flags"]):
        line = Text().append(f"{flag}: ", style="yellow")
        line.append(FLAGS.get(flag, "a flag that this version does not know"))
        yield Hanging(line, "" if place else "flags", _INDENT)


def _identity(identity: Document) -> Text:
    """Name who it was and what proves it, then all that is known of them."""
    if identity["kind"] == "none":
        return Text("none: nothing proves who it was", style="yellow")
    name = identity["consumer_name"] or identity["custom_id"] or identity["subject"] or ""
    line = Text(printable(f"{identity['kind']} {name}".strip(), 200))
    line.stylize("bold green" if identity["proof"] else "yellow")
    proof = f", proven by {identity['proof']}" if identity["proof"] else ": nothing proves who it was"
    line.append(proof)
    known = (
        ("custom id", identity["custom_id"]),
        ("subject", identity["subject"]),
        ("id", identity["consumer_id"]),
        ("credential", identity["credential_id"]),
    )
    for label, value in known:
        if value and value != name:
            line.append(f"\n{label} {printable(value, 200)}", style="dim")
    return line
