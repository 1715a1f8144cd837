"""PURE: a lineage as outsiders see it: the JSON contract of `schemas/lineage.schema.json`.

Names are fixed there and nowhere renamed. Times are RFC 3339 UTC with microseconds, durations milliseconds,
what is not known is None.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pipeline.errors import ConfigError
from pipeline.join.phases import phases_of
from pipeline.join.termination import explain
from pipeline.join.times import span_of_time
from pipeline.model import EdgeRecord, GatewayRecord, Identity, Lineage, Timers, Try

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- UTC by definition; without a zone isoformat() is twice as fast
_EDGE_ANSWERED = frozenset("HC")
"""Second letters of states in which what the client got was the edge's own answer."""


def lineage_document(lineage: Lineage) -> dict[str, Any]:
    """Give one lineage as a JSON-ready tree; the same keys always, None where nothing is known.

    What describes the request (method, host, path, …) is the edge's word, else that of the attempt whose
    answer the client got, else the last attempt's. Status and sizes are what the client got, and so the
    edge's alone wherever there is an edge record.
    """
    edge, shown = lineage.edge, shown_attempt(lineage)
    met: EdgeRecord | GatewayRecord | None = edge if edge is not None else shown
    span = span_of_time(lineage)
    return {
        "request_id": lineage.request_id or None,
        "trace_id": lineage.trace_id,
        "trace_id_source": lineage.trace_id_source,
        "start_time": rfc3339_us(span.start_us),
        "end_time": rfc3339_us(span.end_us),
        "duration_ms": span.duration_ms,
        "outcome": lineage.outcome,
        "match": lineage.match,
        "missing": lineage.missing,
        "final": lineage.final,
        "method": _either(edge, shown, "method"),
        "scheme": _either(edge, shown, "scheme"),
        "host": _either(edge, shown, "host"),
        "path": _either(edge, shown, "path"),
        "query": _either(edge, shown, "query") or None,
        "http_version": edge.http_version if edge else None,
        "status": met.status if met else None,
        "user_agent": _either(edge, shown, "user_agent"),
        "client_ip": met.client_ip if met else None,
        "client_port": edge.client_port if edge else None,
        "request_bytes": met.request_bytes if met else None,
        "response_bytes": met.response_bytes if met else None,
        "edge": _edge(edge) if edge else None,
        "attempts": [
            _attempt(attempt, delivered=was_delivered(lineage, index), delivered_by=_proof(lineage, index))
            for index, attempt in enumerate(lineage.attempts)
        ],
        "identity": {name: getattr(lineage.identity, name) for name in Identity.__struct_fields__},
        "phases": [phase._asdict() for phase in phases_of(lineage)],
        "verdict": lineage.verdict._asdict(),
        "flags": list(lineage.flags),
        "clock_offset_ms": lineage.clock_offset_ms,
        "spans": {"decision": lineage.spans.decision, "sent": lineage.spans.sent},
    }


def shown_attempt(lineage: Lineage) -> GatewayRecord | None:
    """Give the attempt that speaks for the gateway: the delivered one, else the last; None without any."""
    if not lineage.attempts:
        return None
    return lineage.attempts[lineage.delivered if lineage.delivered is not None else -1]


def was_delivered(lineage: Lineage, index: int) -> bool | None:
    """Say whether an attempt's answer is the one that the client got.

    Returns:
        False also where the edge captured the id of another attempt, or answered itself when the gateway had
        failed it; None where that is not known.
    """
    if lineage.delivered is not None:
        return index == lineage.delivered
    edge = lineage.edge
    if edge is None:
        return None
    answered_itself = (edge.termination or "----")[1:2] in _EDGE_ANSWERED
    return False if edge.gateway_request_id is not None or answered_itself else None


def _proof(lineage: Lineage, index: int) -> str | None:
    """Say what shows that an attempt's answer was delivered: key B, or evidence alone."""
    if index != lineage.delivered or lineage.edge is None:
        return None
    captured = lineage.edge.gateway_request_id
    is_proven = captured is not None and captured == lineage.attempts[index].gateway_request_id
    return "gateway_request_id" if is_proven else "evidence"


def rfc3339_us(time_us: int | None) -> str | None:
    """Write UTC epoch microseconds as `2026-11-23T18:57:23.518000Z`; None for years beyond 9999."""
    if time_us is None:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds") + "Z"
    except OverflowError:
        return None


def _either(edge: EdgeRecord | None, attempt: GatewayRecord | None, name: str) -> Any:  # noqa: ANN401
    value = getattr(edge, name, None)
    return value if value is not None else getattr(attempt, name, None)


def _edge(edge: EdgeRecord) -> dict[str, Any]:
    return {
        "node": edge.node,
        "pid": edge.pid,
        "log_counter": edge.log_counter,
        "frontend": edge.frontend,
        "backend": edge.backend,
        "server": edge.server,
        "server_ip": edge.server_ip,
        "server_port": edge.server_port,
        "termination": edge.termination,
        "termination_text": termination_text(edge.termination),
        "retries": edge.retries,
        "redispatched": edge.redispatched,
        "gateway_request_id": edge.gateway_request_id,
        "traceparent": edge.traceparent,
        "timers": {name: getattr(edge.timers, name) for name in Timers.__struct_fields__},
        "tls": {
            "version": edge.tls_version,
            "cipher": edge.tls_cipher,
            "sni": edge.tls_sni,
            "client_verify": edge.tls_client_verify,
            "client_dn": edge.tls_client_dn,
        },
        "claimed": {"request_id": edge.claimed_request_id, "traceparent": edge.claimed_traceparent},
        "pool": edge.pool,
        "error": edge.error,
    }


def termination_text(state: str | None) -> str | None:
    """Say a termination state in words; None for one that HAProxy's manual does not know."""
    if not state:
        return None
    try:
        return explain(state).sentence
    except ConfigError:
        return None


def _attempt(attempt: GatewayRecord, *, delivered: bool | None, delivered_by: str | None) -> dict[str, Any]:
    return {
        "gateway_request_id": attempt.gateway_request_id,
        "request_ids": list(attempt.request_ids),
        "node": attempt.node,
        "started_at": rfc3339_us(attempt.started_us),
        "duration_ms": attempt.request_ms,
        "status": attempt.status,
        "source": attempt.source,
        "delivered": delivered,
        "delivered_by": delivered_by,
        "client_ip": attempt.client_ip,
        "service": attempt.service,
        "route": attempt.route,
        "workspace": attempt.workspace,
        "latencies": {
            "kong": attempt.kong_ms,
            "proxy": attempt.proxy_ms,
            "receive": attempt.receive_ms,
            "request": attempt.request_ms,
        },
        "upstream_status": list(attempt.upstream_status),
        "upstream_uri": attempt.upstream_uri,
        "headers": dict(attempt.headers),
        "tries": [_try(one) for one in attempt.tries],
    }


def _try(one: Try) -> dict[str, Any]:
    return {
        "ip": one.ip,
        "port": one.port,
        "state": one.state,
        "code": one.code,
        "started_at": rfc3339_us(one.started_us),
        "balancer_ms": one.balancer_ms,
    }
