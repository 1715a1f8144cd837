"""What the join makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pipeline.model.edge import EdgeRecord
from pipeline.model.gateway import GatewayRecord


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Who, and what proves it (design section 6)."""

    kind: str = "none"
    """`consumer`, `credential`, `claim`, `mtls`, `anonymous` or `none`."""
    consumer_id: str | None = None
    consumer_name: str | None = None
    custom_id: str | None = None
    credential_id: str | None = None
    subject: str | None = None
    proof: str | None = None
    """`kong.consumer`, `kong.credential`, `kong.claim`, `edge.mtls`, or None."""


class Phase(NamedTuple):
    """One stretch of a request's time; the phases of a lineage sum to its duration."""

    name: str
    hop: str
    """`client`, `edge`, `gateway` or `upstream`."""
    start_ms: float
    duration_ms: float


class Verdict(NamedTuple):
    """Why a request ended as it did."""

    domain: str
    """`ok`, `client`, `edge`, `gateway`, `upstream`, `network` or `unknown`."""
    code: str
    text: str
    """One sentence that an SRE would have written."""


class SpanRecord(msgspec.Struct, frozen=True, gc=False):
    """What was decided about a lineage's spans, and what was done."""

    decision: str | None = None
    """Why they are sent (`error`, `retry`, `conflict`, `slow`, `sampled`, `share`), or `dropped`; None where
    nobody asked. Never goes back to `dropped`."""
    sent: int = 0
    """How many were put into the queue of what is sent: all that the lineage has, or none."""
    parent_id: str | None = None
    """The caller's span that the first one hangs under, 16 hexadecimal digits; None: it is a root."""


class Lineage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One request: an edge record, the gateway attempts that belong to it, and what they mean together.

    Everything that is not derived is in `edge` and `attempts`; a stored lineage gives both back
    unchanged, so that a late half can be merged into it.
    """

    bucket_s: int
    """UTC epoch seconds; with request_id and rec_id the key in the store. Same from either half."""
    request_id: str
    """Key A; empty where neither half has one."""
    rec_id: int
    """The edge record's; without one the lowest id of the attempts."""
    rev: int
    """Grows with the number of distinct records merged and, within it, from pending to final."""
    outcome: str
    """`complete`, `edge_only` or `gateway_only`."""
    match: str
    """`proven`, `matched`, `conflict` or `unmatched`."""
    missing: str | None
    final: bool
    edge: EdgeRecord | None
    attempts: tuple[GatewayRecord, ...]
    """Oldest first."""
    delivered: int | None
    """Index of the attempt whose answer the client got; None where unknown."""
    trace_id: str | None
    trace_id_source: str | None
    """`edge`, `kong`, `traceparent` (Kong's request header) or None."""
    identity: Identity
    verdict: Verdict
    flags: tuple[str, ...]
    """Sorted, without repeats; the records' own flags included."""
    clock_offset_ms: float | None = None
    is_deleted: bool = False
    """A tombstone: this key's records now stand under another key."""
    spans: SpanRecord = SpanRecord()

    def ids(self) -> Iterator[str | int]:
        """Give all that it can be found by: its name, request ids and gateway request ids, some of them twice."""
        yield self.rec_id
        if self.request_id:
            yield self.request_id
        if self.edge is not None and self.edge.gateway_request_id:
            yield self.edge.gateway_request_id
        for attempt in self.attempts:
            yield from attempt.request_ids
            if attempt.gateway_request_id:
                yield attempt.gateway_request_id


class StoreKey(NamedTuple):
    """What names a row."""

    bucket_s: int
    request_id: str
    rec_id: int
