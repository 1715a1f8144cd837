"""PURE: what the operator may say about spans, and whose word about a trace's parent is taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal, NamedTuple

from pipeline.model import GatewayRecord, Lineage
from pipeline.spans.ids import Context, context_of, edge_span_id, trace_id_for

Network = IPv4Network | IPv6Network


class SpanSettings(NamedTuple):
    """How spans are made."""

    edge_service: str = "haproxy"
    """`service.name` of the edge's spans."""
    gateway_service: str = "kong"
    """`service.name` of the gateway's spans."""
    context: Literal["restart", "continue", "networks"] = "restart"
    """Whose trace context a request's first span continues: nobody's, everybody's, that of `networks`."""
    networks: tuple[Network, ...] = ()
    gateway_spans: Literal["auto", "always", "never"] = "auto"
    """Whether the gateway's spans are made; `auto`: not where its own plugin sent them."""
    with_identity: bool = False
    """Whether who asked is put on spans."""
    pseudonym_key: bytes | None = None
    """What hashes who asked for spans; None: nothing does."""


class Origin(NamedTuple):
    """Where a request's first span hangs."""

    parent_id: str | None
    """Span id of the caller, 16 hexadecimal digits; None for a root."""
    link: Context | None
    """The caller's context where it was not taken."""


def origin_of(lineage: Lineage, settings: SpanSettings) -> Origin:
    """Say what becomes of the context that the client sent.

    It can be continued only where the trace that goes downstream is the client's own: an edge that begins a new
    one has decided already, and the client's becomes a link.
    """
    if lineage.edge is not None:
        context, client_ip = context_of(lineage.edge.claimed_traceparent), lineage.edge.client_ip
    elif lineage.missing == "bypassed_edge":
        first = lineage.attempts[0]
        context, client_ip = context_of(first.traceparent), first.client_ip
    else:
        return Origin(None, None)
    if context is None:
        return Origin(None, None)
    trace_id = trace_id_for(lineage)
    if context.trace_id == trace_id and _trusts(settings, client_ip):
        own = edge_span_id(trace_id, lineage.edge).hex() if lineage.edge is not None else ""
        if own != context.span_id:
            return Origin(context.span_id, None)
    return Origin(None, context)


def traces_itself(attempt: GatewayRecord) -> bool:
    """Whether the gateway's own plugin sent spans of a request.

    Kong logs `trace_id` where it traced, and the `traceparent` that it sent upstream; where that is not sampled
    its spans exist nowhere (Kong 3.9: `tracing_instrumentations = off` with the plugin on).
    """
    if attempt.trace_id is None:
        return False
    context = context_of(attempt.traceparent)
    return context is None or context.is_sampled


def _trusts(settings: SpanSettings, client_ip: str | None) -> bool:
    if settings.context != "networks":
        return settings.context == "continue"
    return client_ip is not None and _within(client_ip, settings.networks)


@lru_cache(maxsize=4096)
def _within(text: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)
