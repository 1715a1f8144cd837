"""PURE: lineage documents as rows of CSV: every row with the same leaves, the gateway's side in columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NO_TIMERS = dict.fromkeys(("TR", "Tw", "Tc", "Tr", "Td", "Ta", "Th", "Ti"))
_NO_TLS = dict.fromkeys(("version", "cipher", "sni", "client_verify", "client_dn"))
_NO_EDGE: dict[str, Any] = {
    **dict.fromkeys(
        ("node", "pid", "log_counter", "frontend", "backend", "server", "server_ip", "server_port")
    ),
    **dict.fromkeys(("termination", "termination_text", "retries", "redispatched")),
    **dict.fromkeys(("gateway_request_id", "traceparent")),
    "timers": _NO_TIMERS,
    "tls": _NO_TLS,
    "claimed": dict.fromkeys(("request_id", "traceparent")),
    "pool": None,
    "error": None,
}
"""The leaves of an edge record that is not there."""


def lineage_row(document: Mapping[str, Any]) -> dict[str, Any]:
    """Spread a lineage document for CSV.

    Attempts and tries become their numbers and what is asked of them most, phases `name=ms`. Everything else
    is as in JSON, with a dotted name for each leaf.
    """
    attempts = document["attempts"]
    shown = next((one for one in attempts if one["delivered"]), attempts[-1] if attempts else {})
    return {
        **document,
        "edge": document["edge"] or _NO_EDGE,
        "attempts": len(attempts),
        "tries": sum(len(attempt["tries"]) for attempt in attempts),
        "gateway_request_ids": [attempt["gateway_request_id"] or "-" for attempt in attempts],
        "gateway_statuses": [attempt["status"] or "-" for attempt in attempts],
        "service": shown.get("service"),
        "route": shown.get("route"),
        "phases": [f"{phase['name']}={phase['duration_ms']:g}" for phase in document["phases"]],
    }
