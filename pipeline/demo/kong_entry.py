"""An http-log entry as Kong 3.9 writes it, from what is known of a served request.

PURE: shared by the stand-in gateway, which has served the request, and by the history, which has not.
The tests compare fields and types with entries captured from Kong.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pipeline.demo.declared import Credential, Declared, Route
from pipeline.demo.http1 import Headers, first, raw_bytes

_MOST = 100
"""Header names and arguments that Kong logs at most."""
_REDACTED = {"authorization", "proxy-authorization"}


@dataclass(slots=True)
class Try:
    """One request of the balancer to one target."""

    ip: str
    port: int
    start_us: int
    balancer_ns: int
    """What the balancer itself took, nanoseconds."""
    state: str | None = None
    code: int | None = None


@dataclass(slots=True)
class Served:
    """All that an entry tells; filled while a request goes through."""

    gateway_id: str
    started_us: int
    method: str
    uri: str
    headers: Headers
    """At the end: as the plugins left them."""
    request_size: int
    client_ip: str
    port: int
    """Where the gateway listened."""
    route: Route | None = None
    credential: Credential | None = None
    correlation_id: str | None = None
    upstream_uri: str = ""
    tries: list[Try] = field(default_factory=list)
    upstream_status: list[str] = field(default_factory=list)
    source: str = "kong"
    status: int = 0
    answer_headers: Headers = ()
    answer_size: int = 0
    kong_ms: int = 0
    proxy_ms: int = -1
    receive_ms: int = 0
    request_ms: int = 0


def entry_bytes(served: Served, declared: Declared, order: random.Random) -> bytes:
    """Write an entry as lua-cjson does: keys in any order, slashes escaped, other characters as they are.

    Args:
        served: The request.
        declared: Gives the workspace.
        order: Shuffles the keys.
    """
    entry = _shuffled(_entry(served, declared), order)
    return raw_bytes(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/"))


def _entry(served: Served, declared: Declared) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "workspace": declared.workspace,
        "workspace_name": "default",
        "started_at": served.started_us // 1000,
        "client_ip": served.client_ip,
        "source": served.source,
        "upstream_uri": served.upstream_uri,
        "upstream_status": ", ".join(served.upstream_status),
        "latencies": {
            "kong": served.kong_ms,
            "proxy": served.proxy_ms,
            "receive": served.receive_ms,
            "request": served.request_ms,
        },
        "request": _request(served),
        "response": {
            "status": served.status,
            "size": served.answer_size,
            "headers": _grouped(served.answer_headers),
        },
    }
    if served.route is not None:
        entry["route"] = served.route.entity
        entry["service"] = served.route.service.entity
        entry["tries"] = [_try(made) for made in served.tries]
    if served.correlation_id is not None:
        entry["correlation_id"] = served.correlation_id
    if served.credential is not None:
        entry["consumer"] = served.credential.consumer.entity
        entry["authenticated_entity"] = {"id": served.credential.id}
    return entry


def _request(served: Served) -> dict[str, Any]:
    host = (first(served.headers, "host") or "kong").partition(":")[0].lower()
    headers = [(name, "REDACTED" if name in _REDACTED else value) for name, value in served.headers]
    return {
        "id": served.gateway_id,
        "method": served.method,
        "uri": served.uri,
        "url": f"http://{host}:{served.port}{served.uri}",
        "querystring": querystring(served.uri.partition("?")[2].partition("#")[0]),
        "headers": _grouped(headers),
        "size": served.request_size,
    }


def _try(made: Try) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "ip": made.ip,
        "port": made.port,
        "balancer_start": made.start_us // 1000,
        "balancer_start_ns": float(f"{made.start_us * 1000:.14g}"),
        "balancer_latency": made.balancer_ns // 1_000_000,
        "balancer_latency_ns": made.balancer_ns,
    }
    if made.state is not None:
        entry |= {"state": made.state, "code": made.code}
    return entry


def _grouped(headers: Sequence[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Give headers by lower-case name; a repeated one is a list."""
    grouped: dict[str, str | list[str]] = {}
    for name, value in headers[:_MOST]:
        have = grouped.get(name.lower())
        if have is None:
            grouped[name.lower()] = value
        elif isinstance(have, list):
            have.append(value)
        else:
            grouped[name.lower()] = [have, value]
    return grouped


def querystring(query: str) -> dict[str, Any]:
    """Read arguments as nginx's Lua does: decoded, `true` where there is no `=`, a list where repeated."""
    arguments: dict[str, Any] = {}
    for part in query.split("&")[:_MOST]:
        name, equals, value = part.partition("=")
        key = unquote(name.replace("+", " "), errors="surrogateescape")
        if not key:
            continue
        argument = unquote(value.replace("+", " "), errors="surrogateescape") if equals else True
        if key not in arguments:
            arguments[key] = argument
        elif isinstance(arguments[key], list):
            arguments[key].append(argument)
        else:
            arguments[key] = [arguments[key], argument]
    return arguments


def _shuffled(value: Any, order: random.Random) -> Any:  # noqa: ANN401 -- JSON
    """Put the keys of every object in another order."""
    if isinstance(value, Mapping):
        keys = list(value)
        order.shuffle(keys)
        return {key: _shuffled(value[key], order) for key in keys}
    if isinstance(value, list):
        return [_shuffled(part, order) for part in value]
    return value
