"""PURE: all spans of a lineage, the root first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.model import GatewayRecord, Lineage
from pipeline.spans import keys as key
from pipeline.spans.edge import attempt_span, edge_span, joined
from pipeline.spans.gateway import gateway_span, try_span
from pipeline.spans.ids import attempt_key, edge_span_id, hashed, pseudonym, trace_id_for
from pipeline.spans.settings import Origin, SpanSettings, origin_of, traces_itself

_HERE = Origin(None, None)


class Built(NamedTuple):
    """One span."""

    service: str
    """`service.name` of its resource."""
    node: str | None
    """`service.instance.id` of its resource."""
    span_id: bytes
    body: bytes
    """A field of `ScopeSpans`."""


class Spans:
    """Makes spans of lineages by one operator's settings."""

    def __init__(self, settings: SpanSettings) -> None:
        self.settings = settings

    def of(self, lineage: Lineage) -> list[Built]:
        """Give the spans of a lineage, in an order in which every parent comes before its children.

        The edge's SERVER span, then for each attempt the edge's CLIENT span, the gateway's SERVER span, and a
        CLIENT span for each try of an upstream.
        """
        settings, edge = self.settings, lineage.edge
        trace_id = trace_id_for(lineage)
        trace = bytes.fromhex(trace_id)
        origin = origin_of(lineage, settings)
        built = []
        root_id = b""
        if edge is not None:
            root_id = edge_span_id(trace_id, edge)
            body = edge_span(lineage, edge, trace, root_id, origin, self._identity(lineage))
            built.append(Built(settings.edge_service, edge.node, root_id, body))
        last = len(lineage.attempts) - 1
        for index, attempt in enumerate(lineage.attempts):
            name = attempt_key(attempt)
            client_id = hashed(trace_id, "attempt", name)
            if edge is not None:
                body = attempt_span(
                    edge, attempt, trace, client_id, root_id, resend=index, is_last=index == last
                )
                built.append(Built(settings.edge_service, edge.node, client_id, body))
            if self._makes_gateway(attempt):
                built += self._gateway(lineage, index, trace_id, client_id, origin)
        return built

    def ids_of(self, lineage: Lineage) -> set[bytes]:
        """Give the ids of a lineage's spans."""
        return {span.span_id for span in self.of(lineage)}

    def parent_of(self, lineage: Lineage) -> str | None:
        """Give the caller's span that a lineage's first span hangs under; None where it is a root."""
        return origin_of(lineage, self.settings).parent_id

    def count(self, lineage: Lineage) -> int:
        """Say how many spans a lineage has, without making them."""
        edge = lineage.edge is not None
        return edge + sum(
            edge + (1 + len(attempt.tries) if self._makes_gateway(attempt) else 0)
            for attempt in lineage.attempts
        )

    def _makes_gateway(self, attempt: GatewayRecord) -> bool:
        wanted = self.settings.gateway_spans
        return wanted == "always" or (wanted == "auto" and not traces_itself(attempt))

    def _gateway(
        self, lineage: Lineage, index: int, trace_id: str, client_id: bytes, origin: Origin
    ) -> Iterator[Built]:
        """Make the gateway's spans of one attempt; without an edge record they say what the edge's would."""
        attempt, service = lineage.attempts[index], self.settings.gateway_service
        name, trace = attempt_key(attempt), bytes.fromhex(trace_id)
        span_id = hashed(trace_id, "gateway", name)
        parent_id, about = client_id, b""
        if lineage.edge is None:
            about = joined(lineage.match, lineage.missing, lineage.verdict.code, lineage.flags)
            about += self._identity(lineage)
            if lineage.missing == "bypassed_edge":
                parent_id = bytes.fromhex(origin.parent_id) if origin.parent_id else b""
        body = gateway_span(
            attempt,
            trace,
            span_id,
            parent_id,
            origin if lineage.edge is None else _HERE,
            delivered=lineage.delivered == index,
            lineage_rest=about,
        )
        yield Built(service, attempt.node, span_id, body)
        for number in range(len(attempt.tries)):
            try_id = hashed(trace_id, "try", f"{name}/{number}")
            yield Built(service, attempt.node, try_id, try_span(attempt, number, trace, try_id, span_id))

    def _identity(self, lineage: Lineage) -> bytes:
        """Write who asked, where the operator wants it: proven consumers, credentials and certificates."""
        settings = self.settings
        if not settings.with_identity and settings.pseudonym_key is None:
            return b""
        who = lineage.identity
        user_id = who.consumer_id or who.credential_id or who.subject
        written = b""
        if settings.pseudonym_key is not None and user_id:
            written = key.PSEUDONYM(pseudonym(settings.pseudonym_key, user_id))
        if settings.with_identity:
            written += key.maybe(key.USER_ID, user_id) + key.maybe(key.USER_NAME, who.consumer_name)
        return written
