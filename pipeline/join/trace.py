"""Which trace a request belongs to; ids that are not valid by W3C Trace Context are none."""

from __future__ import annotations

from pipeline.model import EdgeRecord, GatewayRecord

_TRACEPARENT = 55
_HEX = frozenset("0123456789abcdef")


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
    if (
        len(traceparent) < _TRACEPARENT
        or traceparent[2] != "-"
        or traceparent[35] != "-"
        or traceparent[52] != "-"
    ):
        return None
    version, trace_id, span_id = traceparent[:2], traceparent[3:35], traceparent[36:52]
    if len(traceparent) > _TRACEPARENT and (version == "00" or traceparent[55] != "-"):
        return None
    if version == "ff" or not _HEX.issuperset(version + trace_id + span_id + traceparent[53:55]):
        return None
    return trace_id if trace_id.strip("0") and span_id.strip("0") else None
