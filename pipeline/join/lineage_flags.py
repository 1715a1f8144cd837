"""What is worth a second look in a lineage: a closed set, beside the flags of its records."""

from __future__ import annotations

from pipeline.model import EdgeRecord, GatewayRecord

SPOOFED_REQUEST_ID = "spoofed_request_id"
"""The client sent a request id of its own; it was not used."""
ID_REUSE = "id_reuse"
"""Two edge records carry one request id."""
EDGE_ID_NOT_FORWARDED = "edge_id_not_forwarded"
"""Joined by the gateway's id alone: the gateway does not log the edge's."""
STATUS_MISMATCH = "status_mismatch"
"""Both hops ended regularly and yet disagree on the status."""
CLIENT_IP_MISMATCH = "client_ip_mismatch"
"""The gateway takes another address for the client's: are its trusted addresses right?"""
NON_IDEMPOTENT_RETRY = "non_idempotent_retry"
"""A request that may not be repeated reached an upstream more than once."""
LATE = "late"
"""A half came after the window and was united with the stored row."""
CLOCK_SKEW = "clock_skew"
"""The clocks of the two nodes stand apart, as far as was known when the halves were joined: see `clocks`."""

EXTRA_ATTEMPTS = "extra_attempts"
"""More gateway records than the edge made attempts: the gateway calls itself with the same id."""
CONSTANT_ID = "constant_id"
"""So many records carry its request id that the id cannot be one request's; it was not joined on."""

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", None})
"""Idempotent methods (RFC 9110 9.2.2)."""


def flags_of(
    edge: EdgeRecord | None,
    attempts: tuple[GatewayRecord, ...],
    delivered: int | None,
    bucket_flags: tuple[str, ...],
    *,
    shared: bool,
) -> tuple[str, ...]:
    """Collect the flags of records and of what they are together; sorted, without repeats."""
    flags: list[str] = list(bucket_flags)
    if edge is not None:
        flags += edge.flags
        if edge.claimed_request_id:
            flags.append(SPOOFED_REQUEST_ID)
        if shared:
            flags.append(ID_REUSE)
    for attempt in attempts:
        if attempt.flags:
            flags += attempt.flags
        if edge is not None and len(attempt.request_ids) > 1:
            flags.append(SPOOFED_REQUEST_ID)
    if edge is not None and attempts:
        flags += _disagreements(edge, attempts, delivered)
    was_retried = len(attempts) > 1 and (edge is None or edge.retries > 0)
    if was_retried and attempts[0].method not in _REPEATABLE:
        reached = sum(attempt.proxy_ms is not None or len(attempt.tries) > 0 for attempt in attempts)
        if reached > 1:
            flags.append(NON_IDEMPOTENT_RETRY)
    return tuple(sorted(set(flags))) if len(flags) > 1 else tuple(flags)


def _disagreements(edge: EdgeRecord, attempts: tuple[GatewayRecord, ...], delivered: int | None) -> list[str]:
    flags = []
    if edge.request_id and edge.request_id not in attempts[0].request_ids:
        others = attempts[1:]
        if not any(edge.request_id in attempt.request_ids for attempt in others):
            flags.append(EDGE_ID_NOT_FORWARDED)
    if len(attempts) > 1 + edge.retries:
        flags.append(EXTRA_ATTEMPTS)
    if delivered is not None:
        attempt = attempts[delivered]
        if edge.status != attempt.status and ((edge.termination or "") + "--")[:2] == "--":
            flags.append(STATUS_MISMATCH)
        if edge.client_ip and attempt.client_ip and edge.client_ip != attempt.client_ip:
            flags.append(CLIENT_IP_MISMATCH)
    return flags
