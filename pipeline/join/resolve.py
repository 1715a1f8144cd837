"""The match rules: which attempts belong to which edge record, and how sure that is (design section 3).

Everything here depends on the set of records alone, never on the order in which they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from pipeline.join import expect
from pipeline.join.bucket import bucket_of_edge, bucket_of_gateway
from pipeline.join.delivery import delivered_of
from pipeline.join.identity import identity_of
from pipeline.join.ids import can_be_joined_on
from pipeline.join.lineage_flags import CONSTANT_ID, flags_of
from pipeline.join.trace import trace_of
from pipeline.join.verdict import verdict_of
from pipeline.model import EdgeRecord, GatewayRecord, Lineage

_SLACK_US = 2_000_000
"""How far clocks of edge and gateway may differ for "within the interval of"."""


class _Circumstances(NamedTuple):
    """What holds for all lineages of one group."""

    records: int
    """Distinct records in the group: `rev` grows with it, so that a poorer row can never win."""
    unfinished: str | None
    crowded: bool

    def rev(self, *, final: bool) -> int:
        return 2 * self.records + final


def resolve(
    edges: Sequence[EdgeRecord],
    attempts: Sequence[GatewayRecord],
    *,
    unfinished: str | None = None,
    crowded: bool = False,
    shared: Collection[str] = (),
) -> list[Lineage]:
    """Make lineages of records that share ids.

    Args:
        edges: Distinct by rec_id.
        attempts: Distinct by attempt_id.
        unfinished: Why what is missing was not waited for to the end: `pending` or `evicted`.
        crowded: The shared request id is a constant: records are joined by key B alone.
        shared: Request ids known to be on other edge records as well, which need not be among these.

    Returns:
        One lineage an edge record, and one for each request id whose attempts have no edge record.
    """
    about = _Circumstances(len(edges) + len(attempts), unfinished, crowded)
    if len(edges) == 1 and len(attempts) <= 1:
        edge = edges[0]
        if not attempts or _is_own(edge, attempts[0], crowded=crowded):
            return [_with_edge(edge, tuple(attempts), about, shared=edge.request_id in shared)]
    owned, orphans = assign(edges, attempts, crowded=crowded)
    counts = Counter(edge.request_id for edge in edges if can_be_joined_on(edge.request_id))
    reused = {request_id for request_id, count in counts.items() if count > 1}.union(shared)
    lineages = [
        _with_edge(edge, _in_order(owned[edge.rec_id]), about, shared=edge.request_id in reused)
        for edge in edges
    ]
    return lineages + [_without_edge(_in_order(mine), about) for mine in orphans]


def assign(
    edges: Sequence[EdgeRecord], attempts: Iterable[GatewayRecord], *, crowded: bool
) -> tuple[dict[int, list[GatewayRecord]], list[list[GatewayRecord]]]:
    """Give each attempt to exactly one edge record, or to the orphans of its request id."""
    owned: dict[int, list[GatewayRecord]] = {edge.rec_id: [] for edge in edges}
    orphans: dict[str | int, list[GatewayRecord]] = {}
    for attempt in attempts:
        owner = _owner(attempt, edges, crowded=crowded)
        if owner is not None:
            owned[owner.rec_id].append(attempt)
            continue
        request_id = attempt.request_ids[-1] if attempt.request_ids else ""
        stands_alone = crowded or not can_be_joined_on(request_id)
        orphans.setdefault(attempt.attempt_id if stands_alone else request_id, []).append(attempt)
    return owned, list(orphans.values())


def _owner(attempt: GatewayRecord, edges: Sequence[EdgeRecord], *, crowded: bool) -> EdgeRecord | None:
    """Find an attempt's edge record.

    By key B; else by key A, the last candidate first; of several the one whose interval holds the attempt's
    start, else the earliest.
    """
    if attempt.gateway_request_id:
        captured = [edge for edge in edges if edge.gateway_request_id == attempt.gateway_request_id]
        if captured:
            return min(captured, key=_age)
    if crowded:
        return None
    for request_id in reversed(attempt.request_ids):
        sharing = [edge for edge in edges if edge.request_id == request_id]
        if sharing and can_be_joined_on(request_id):
            within = [edge for edge in sharing if _holds(edge, attempt.started_us)]
            return min(within or sharing, key=_age)
    return None


def _is_own(edge: EdgeRecord, attempt: GatewayRecord, *, crowded: bool) -> bool:
    """Whether an attempt belongs to the only edge record: `_owner`, of one."""
    if attempt.gateway_request_id and attempt.gateway_request_id == edge.gateway_request_id:
        return True
    return not crowded and edge.request_id in attempt.request_ids and can_be_joined_on(edge.request_id)


def _age(edge: EdgeRecord) -> tuple[int, int]:
    return edge.start_us, edge.rec_id


def _holds(edge: EdgeRecord, time_us: int) -> bool:
    end_us = edge.start_us + (edge.timers.Ta or 0) * 1000
    return edge.start_us - _SLACK_US <= time_us <= end_us + _SLACK_US


def _in_order(attempts: Iterable[GatewayRecord]) -> tuple[GatewayRecord, ...]:
    return tuple(sorted(attempts, key=lambda attempt: (attempt.started_us, attempt.attempt_id)))


def _with_edge(
    edge: EdgeRecord, attempts: tuple[GatewayRecord, ...], about: _Circumstances, *, shared: bool
) -> Lineage:
    """Make the lineage of an edge record and its attempts."""
    missing, final = None, True
    if about.unfinished or not attempts:
        expected = expect.expected_of(edge)
        final = not about.unfinished or len(attempts) >= expected.attempts
        if not attempts:
            missing = _missing_gateway(edge, expected, about)
    delivered = delivered_of(edge, attempts)
    bucket = bucket_of_edge(edge)
    trace_id, trace_id_source = trace_of(edge, attempts, delivered)
    shown = attempts[delivered if delivered is not None else -1] if attempts else None
    flags = flags_of(edge, attempts, delivered, bucket.flags, shared=shared)
    return Lineage(
        bucket_s=bucket.second,
        request_id=edge.request_id,
        rec_id=edge.rec_id,
        rev=about.rev(final=final),
        outcome="complete" if attempts else "edge_only",
        match=_match(edge, attempts, delivered, shared=shared, final=final),
        missing=missing,
        final=final,
        edge=edge,
        attempts=attempts,
        delivered=delivered,
        trace_id=trace_id,
        trace_id_source=trace_id_source,
        identity=identity_of(edge, shown),
        verdict=verdict_of(edge, attempts, delivered, missing),
        flags=_crowded_flags(flags) if about.crowded else flags,
    )


def _missing_gateway(edge: EdgeRecord, expected: expect.Expectation, about: _Circumstances) -> str:
    """Say why there is no attempt."""
    if not expected.attempts:
        return expected.missing
    if about.unfinished:
        return about.unfinished
    has_key_a = can_be_joined_on(edge.request_id) and not about.crowded
    if not has_key_a and edge.gateway_request_id is None:
        return expect.NOT_LOGGED_BY_CONFIG
    return expected.missing


def _match(
    edge: EdgeRecord,
    attempts: tuple[GatewayRecord, ...],
    delivered: int | None,
    *,
    shared: bool,
    final: bool,
) -> str:
    if shared:
        return "conflict"
    if not attempts:
        return "unmatched"
    if edge.gateway_request_id is None:
        return "matched"
    if delivered is None:  # no attempt has the captured id
        return "conflict" if final else "matched"
    return "proven" if edge.request_id in attempts[delivered].request_ids else "matched"


def _without_edge(attempts: tuple[GatewayRecord, ...], about: _Circumstances) -> Lineage:
    """Make the lineage of attempts whose edge record is not there.

    It is named after the attempt with the lowest id: the same whatever order they came in, and free again
    for nobody else once an edge record has absorbed it.
    """
    named_after = min(attempts, key=lambda attempt: attempt.attempt_id)
    request_id = named_after.request_ids[-1] if named_after.request_ids else ""
    bucket = bucket_of_gateway(named_after, request_id)
    final = not about.unfinished
    missing = about.unfinished or expect.missing_edge(attempts)
    trace_id, trace_id_source = trace_of(None, attempts, len(attempts) - 1)
    flags = flags_of(None, attempts, None, bucket.flags, shared=False)
    return Lineage(
        bucket_s=bucket.second,
        request_id=request_id,
        rec_id=named_after.attempt_id,
        rev=about.rev(final=final),
        outcome="gateway_only",
        match="unmatched",
        missing=missing,
        final=final,
        edge=None,
        attempts=attempts,
        delivered=None,
        trace_id=trace_id,
        trace_id_source=trace_id_source,
        identity=identity_of(None, attempts[-1]),
        verdict=verdict_of(None, attempts, None, missing),
        flags=_crowded_flags(flags) if about.crowded else flags,
    )


def _crowded_flags(flags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*flags, CONSTANT_ID}))
