"""What Kong logged."""

from __future__ import annotations

import msgspec


class Try(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One request of Kong's balancer to one upstream target."""

    ip: str | None
    port: int | None
    state: str | None
    """`failed`, `next`, or None for the try that Kong did not mark."""
    code: int | None
    started_us: int | None
    balancer_ms: float | None


class GatewayRecord(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One request as Kong logged it: one attempt of the edge, with its upstream tries.

    Formats fill it by position, which is faster: its fields keep their order.
    """

    attempt_id: int
    """u64, never 0: hash of `request.id`, or where there is none (Kong < 3.5) of the raw fields that
    tell requests apart. The same entry sent twice has the same."""
    offset: int
    request_ids: tuple[str, ...]
    """Candidates for join key A in logged order, without empty ones: the `x-request-id` header's
    values, else the correlation id. The edge appends, so the last is ours unless proven otherwise."""
    started_us: int
    gateway_request_id: str | None = None
    """`request.id`, else response header `x-kong-request-id`; join key B. None before Kong 3.5."""
    correlation_id: str | None = None
    trace_id: str | None = None
    """`trace_id.w3c`, 32 lower-case hex."""
    traceparent: str | None = None
    request_start_us: int | None = None
    """Request header `x-request-start` (`t=<microseconds>`), None where absent or not a number."""
    node: str | None = None
    """Peer address of the POST."""
    kong_ms: float | None = None
    """Time in Kong before the final try, as in Kong >= 3.7 (receive subtracted from older ones)."""
    proxy_ms: float | None = None
    """None where Kong logs -1: never proxied."""
    receive_ms: float | None = None
    request_ms: float | None = None
    status: int | None = None
    source: str | None = None
    """`kong` or `upstream`; None before Kong 3.6."""
    method: str | None = None
    scheme: str | None = None
    host: str | None = None
    path: str | None = None
    query: str | None = None
    user_agent: str | None = None
    upstream_uri: str | None = None
    """Redacted."""
    upstream_status: tuple[str, ...] = ()
    """One per try, as nginx wrote them: `("502", "-", "200")`."""
    request_bytes: int | None = None
    response_bytes: int | None = None
    client_ip: str | None = None
    service: str | None = None
    service_id: str | None = None
    route: str | None = None
    route_id: str | None = None
    workspace: str | None = None
    consumer_id: str | None = None
    consumer_name: str | None = None
    custom_id: str | None = None
    credential_id: str | None = None
    """`authenticated_entity.id`."""
    anonymous: bool = False
    """Kong's anonymous consumer: `x-anonymous-consumer: true`, or a consumer without a credential."""
    claim_subject: str | None = None
    """Subject from claim fields that Kong's own log carries (`custom_fields_by_lua`)."""
    tls_version: str | None = None
    tls_cipher: str | None = None
    tries: tuple[Try, ...] = ()
    flags: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    """Further headers that the operator keeps, redacted: `("request.x-tenant-id", "acme")`, in the order
    of `redaction.headers`."""
