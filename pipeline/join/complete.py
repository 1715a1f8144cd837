"""Whether all that is expected of a request has come, so that nothing need be waited for."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.join.expect import expected_of
from pipeline.join.ids import can_be_joined_on
from pipeline.join.resolve import assign
from pipeline.model import EdgeRecord, GatewayRecord


def is_complete(edges: Sequence[EdgeRecord], attempts: Sequence[GatewayRecord]) -> bool:
    """Whether every edge record has as many attempts as it made, the one it captured the id of among them.

    HAProxy counts connection retries, which never reach the gateway, with the others: a request with
    retries may have fewer attempts than it lets expect, and then waits until its window ends. Attempts
    without an edge record are never complete.
    """
    if not edges:
        return False
    if len(edges) == 1 and not attempts:
        return not expected_of(edges[0]).attempts
    if len(edges) == 1 and len(attempts) == 1:
        return _is_pair(edges[0], attempts[0])
    owned, orphans = assign(edges, attempts, crowded=False)
    return not orphans and all(_has_all(edge, owned[edge.rec_id]) for edge in edges)


def _is_pair(edge: EdgeRecord, attempt: GatewayRecord) -> bool:
    """Whether nothing is missing beside these two; nearly always the question."""
    if edge.gateway_request_id is not None:
        return not edge.retries and edge.gateway_request_id == attempt.gateway_request_id
    if expected_of(edge).attempts > 1:
        return False
    return edge.request_id in attempt.request_ids and can_be_joined_on(edge.request_id)


def _has_all(edge: EdgeRecord, attempts: Sequence[GatewayRecord]) -> bool:
    if len(attempts) < expected_of(edge).attempts:
        return False
    captured = edge.gateway_request_id
    return captured is None or any(attempt.gateway_request_id == captured for attempt in attempts)
