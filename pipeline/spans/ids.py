"""PURE: which trace a request's spans belong to, and how each of them is called.

Every id follows from the records alone, so that the same lineage gives the same spans again, a late half fits
to what was sent, and SQL (`otel_traces`) finds the same ids. That a hash is all zero, which no id may be, has a
chance of 2^-64 and is not looked for.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import NamedTuple

from pipeline.join.ids import can_be_joined_on
from pipeline.join.lineage_flags import CONSTANT_ID
from pipeline.join.trace import trace_id_of
from pipeline.model import EdgeRecord, GatewayRecord, Lineage

_HEX = re.compile(r"[0-9a-f]{32}")
_ID_BYTES = 8


class Context(NamedTuple):
    """What a valid `traceparent` says."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    is_sampled: bool


def context_of(traceparent: str | None) -> Context | None:
    """Read a `traceparent` (W3C Trace Context, 3.2.2); None where there is none, or it is not valid."""
    trace_id = trace_id_of(traceparent) if traceparent else None
    if trace_id is None or traceparent is None:
        return None
    return Context(trace_id, traceparent[36:52], bool(int(traceparent[53:55], 16) & 1))


def trace_id_for(lineage: Lineage) -> str:
    """Give the trace id of a lineage's spans: its own, else one made of the id that it is found by.

    A request id that is a UUID is taken as it is, then Kong's request id; any other id is hashed. Ids that are
    constants would gather strangers in one trace: there the record's name is hashed.
    """
    if lineage.trace_id:
        return lineage.trace_id
    request_id = lineage.request_id
    if not can_be_joined_on(request_id) or CONSTANT_ID in lineage.flags:
        request_id = ""
    for text in (request_id, _gateway_id(lineage)):
        if text:
            plain = text.replace("-", "").lower()
            if _HEX.fullmatch(plain) and plain.strip("0"):
                return plain
            return sha256(b"lineage/trace/" + text.encode("utf-8", "replace")).hexdigest()[:32]
    return sha256(b"lineage/trace/%d" % lineage.rec_id).hexdigest()[:32]


def edge_span_id(trace_id: str, edge: EdgeRecord) -> bytes:
    """Give the span id that the edge sent downstream; a hash where it sent none of its own."""
    context = context_of(edge.traceparent)
    if context is not None and context.trace_id == trace_id:
        claimed = context_of(edge.claimed_traceparent) if edge.claimed_traceparent else None
        if claimed is None or claimed.span_id != context.span_id:
            return bytes.fromhex(context.span_id)
    return hashed(trace_id, "edge", str(edge.rec_id))


def attempt_key(attempt: GatewayRecord) -> str:
    """Give what names an attempt's spans."""
    return attempt.gateway_request_id or str(attempt.attempt_id)


def hashed(trace_id: str, role: str, key: str) -> bytes:
    """Give a span id made of the trace, what the span is, and whose."""
    return sha256(f"{trace_id}|{role}|{key}".encode("utf-8", "replace")).digest()[:_ID_BYTES]


def pseudonym(key: bytes, user_id: str) -> str:
    """Give the name that a user has on spans: HMAC-SHA-256 of the id, the first 16 bytes as hexadecimal digits."""
    return hmac.digest(key, user_id.encode("utf-8", "replace"), "sha256")[:16].hex()


def _gateway_id(lineage: Lineage) -> str:
    captured = lineage.edge.gateway_request_id if lineage.edge is not None else None
    if captured:
        return captured
    return (lineage.attempts[0].gateway_request_id or "") if lineage.attempts else ""
