"""Which trace a request belongs to; ids that are not valid by W3C Trace Context are none."""

from __future__ import annotations

import re

from pipeline.model import EdgeRecord, GatewayRecord

_LENGTH = 55
"""Characters of a version 00 header."""
_USUAL = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?", re.DOTALL)


def trace_of(
    edge: EdgeRecord | None, attempts: tuple[GatewayRecord, ...], delivered: int | None
) -> tuple[str | None, str | None]:
    """Give trace id and where it is from: what the edge sent downstream, Kong's own, Kong's header."""
    if edge is not None and edge.traceparent and (trace_id := trace_id_of(edge.traceparent)):
        return trace_id, "edge"
    if not attempts:
        return None, None
    attempt = attempts[delivered if delivered is not None else -1]
    if attempt.trace_id:
        return attempt.trace_id, "kong"
    if attempt.traceparent and (trace_id := trace_id_of(attempt.traceparent)):
        return trace_id, "traceparent"
    return None, None


def trace_id_of(traceparent: str) -> str | None:
    """Read the trace id of a `traceparent` (W3C Trace Context, 3.2.2); None where the header is not valid.

    Versions above 00 may carry more fields behind the four; `ff` and all-zero ids are invalid.
    """
    if _USUAL(traceparent):
        return traceparent[3:35]
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, span_id = found.groups()
    if version == "ff" or (version == "00" and len(traceparent) > _LENGTH):
        return None
    return trace_id if trace_id.strip("0") and span_id.strip("0") else None
