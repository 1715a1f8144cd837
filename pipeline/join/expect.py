"""Whether a gateway record is to be expected for an edge record, and why one is missing.

HAProxy's termination state says how far a request came (manual 8.5): second letter R, Q or C is before any
byte went to a server; H, D, L is after. What the edge answered itself never reaches the gateway.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from pipeline.model import EdgeRecord, GatewayRecord

PENDING = "pending"
EVICTED = "evicted"
GATEWAY_LOG_LOST = "gateway_log_lost"
EDGE_LOG_LOST = "edge_log_lost"
BYPASSED_EDGE = "bypassed_edge"
NOT_LOGGED_BY_CONFIG = "not_logged_by_config"

MISSING = (
    PENDING,
    "denied_at_edge",
    "answered_at_edge",
    "bad_request",
    "client_left_before_gateway",
    "gateway_unreachable",
    "no_server",
    "queue_timeout",
    BYPASSED_EDGE,
    EDGE_LOG_LOST,
    GATEWAY_LOG_LOST,
    NOT_LOGGED_BY_CONFIG,
    EVICTED,
)
"""The closed list of reasons (design section 5)."""

_LEFT = "client_left_before_gateway"
_REQUEST_TIMEOUT = 408
_BAD_REQUEST = 400
_INTERNAL_SERVERS = frozenset({"<STATS>", "<HTTPCLIENT>", "<CACHE>", "<PROMEX>", "<SSL>"})


class Expectation(NamedTuple):
    """What is still to come for an edge record."""

    attempts: int
    """Gateway records to wait for before the window ends: 0 means that the record is whole by itself."""
    missing: str
    """The reason if none comes."""


def expected_of(edge: EdgeRecord) -> Expectation:
    """Say what an edge record lets expect."""
    if edge.gateway_request_id is not None:
        return Expectation(1 + edge.retries, GATEWAY_LOG_LOST)
    reason = _reason(
        (edge.termination or "") + "--",
        edge.status,
        edge.server,
        has_request=edge.method is not None or edge.path is not None,
        is_bad="bad_request" in edge.flags,
        connected=edge.timers.Tc is not None,
    )
    return _NOTHING[reason] if reason else Expectation(1 + edge.retries, GATEWAY_LOG_LOST)


@lru_cache(maxsize=4096)
def _reason(
    state: str, status: int | None, server: str | None, *, has_request: bool, is_bad: bool, connected: bool
) -> str | None:
    """Say why no gateway record is to be expected; None where one is."""
    cause, phase = state[0], state[1]
    left = cause in "Cc"
    reason: str | None = None
    if server in _INTERNAL_SERVERS:
        reason = "answered_at_edge"
    elif is_bad or (not has_request and server is None):
        reason = _LEFT if left and status in {None, _REQUEST_TIMEOUT} else "bad_request"
    elif phase == "R":
        refused = "bad_request" if status == _BAD_REQUEST else "denied_at_edge"
        reason = refused if cause == "P" else _LEFT if left else "answered_at_edge"
    elif phase == "T":
        reason = "denied_at_edge"
    elif phase == "Q":
        reason = "queue_timeout" if cause == "s" else _LEFT
    elif phase == "C" and not connected:
        reason = _LEFT if left else "no_server" if server is None else "gateway_unreachable"
    elif server is None:
        reason = "no_server" if cause == "S" else "answered_at_edge"
    return reason


_NOTHING = {reason: Expectation(0, reason) for reason in MISSING}


def missing_edge(attempts: tuple[GatewayRecord, ...]) -> str:
    """Say why the edge half of attempts is missing: no id at all means that the edge was passed by."""
    if any(attempt.request_ids or attempt.request_start_us for attempt in attempts):
        return EDGE_LOG_LOST
    return BYPASSED_EDGE
