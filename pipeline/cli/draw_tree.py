"""PURE: the hops of a request as a tree: the edge, its attempts, their tries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from pipeline.cli.draw_attempts import add_attempts
from pipeline.cli.draw_lines import Hanging
from pipeline.cli.draw_words import missing_words, size
from pipeline.harmless import printable

Document = Mapping[str, Any]

_LONGEST = 400


def hop_tree(document: Document) -> Tree:
    """Draw the edge with its attempts below; a half that is not there has its reason in its place."""
    edge = document["edge"]
    if edge is None:
        root = Tree(_missing(document), guide_style="dim")
    else:
        root = Tree(Group(Hanging(_way(document, edge)), *_details(document, edge)), guide_style="dim")
    add_attempts(root, document)
    if edge is not None and not document["attempts"]:
        root.add(_missing(document))
    return root


def _missing(document: Document) -> Hanging:
    text = Text().append(missing_words(document["outcome"], document["missing"]), style="yellow")
    text.append(f" ({document['missing']})", style="dim")
    return Hanging(text, indent=0)


def _way(document: Document, edge: Document) -> Text:
    """Say which way a request took: node, client, frontend, backend, server."""
    line = Text().append("edge ", style="bold blue")
    line.append(printable(edge["node"] or "", 80), style="bold default")
    client, port = document["client_ip"] or "?", document["client_port"]
    if port is not None:
        client = f"[{client}]:{port}" if ":" in client else f"{client}:{port}"
    line.append(f"  {client}")
    hops = [edge["frontend"], edge["backend"] if edge["backend"] != edge["frontend"] else None]
    way = "".join(f" → {printable(hop, 80)}" for hop in hops if hop)
    way += f"/{printable(edge['server'], 80)}" if edge["server"] else ""
    line.append(way)
    return line


def _details(document: Document, edge: Document) -> Iterator[Hanging]:
    """Say what else the edge knows; a line is left out where it knows nothing."""
    spoken = ", ".join(_spoken(document, edge))
    if spoken:
        yield Hanging(Text(spoken), Text(), 5)
    if edge["termination"]:
        words = (edge["termination_text"] or "a state that HAProxy's manual does not know").rstrip(".")
        label = Text(printable(edge["termination"], 8), "bold red" if edge["termination"][:2] != "--" else "")
        yield Hanging(Text(words), Text("     ").append_text(label), 11)
    if edge["error"]:
        yield Hanging(Text(printable(f"error {edge['error']}", _LONGEST), "red"), Text(), 5)
    captured = edge["gateway_request_id"]
    if captured and document["attempts"] and not any(one["delivered"] for one in document["attempts"]):
        words = f"the client's answer came from gateway request {printable(captured, 80)}, which is not here"
        yield Hanging(Text(words, "bold red"), Text(), 5)
    claimed = edge["claimed"]
    for name, value in (("request id", claimed["request_id"]), ("traceparent", claimed["traceparent"])):
        if value:
            text = Text().append(f"the client claimed the {name} {printable(value, 120)}", style="yellow")
            yield Hanging(text, Text(), 5)


def _spoken(document: Document, edge: Document) -> Iterator[str]:
    if document["http_version"]:
        yield f"HTTP/{printable(document['http_version'], 8)}"
    if edge["tls"]["version"]:
        yield printable(edge["tls"]["version"], 20)
    if document["request_bytes"] is not None:
        yield f"{size(document['request_bytes'])} in"
    if document["response_bytes"] is not None:
        yield f"{size(document['response_bytes'])} out"
    if edge["retries"]:
        yield f"{edge['retries']} {'retry' if edge['retries'] == 1 else 'retries'}"
    if edge["redispatched"]:
        yield "redispatched"
    if edge["pool"]:
        yield f"pool {printable(edge['pool'], 80)}"
