"""The fields of an http-log entry that a lineage needs, typed as Kong 2.8 to 3.13 really write them.

Everything else in an entry is skipped unread: header names that are not here never leave the decoder.
"""

from __future__ import annotations

import msgspec

HeaderValue = str | list[str] | None
_Number = int | float | None


class Headers(msgspec.Struct, gc=False):
    """Request headers as at the log phase; a repeated header is a list."""

    x_request_id: HeaderValue = msgspec.field(default=None, name="x-request-id")
    x_request_start: HeaderValue = msgspec.field(default=None, name="x-request-start")
    traceparent: HeaderValue = None
    host: HeaderValue = None
    user_agent: HeaderValue = msgspec.field(default=None, name="user-agent")
    x_anonymous_consumer: HeaderValue = msgspec.field(default=None, name="x-anonymous-consumer")


class ResponseHeaders(msgspec.Struct, gc=False):
    """Response headers."""

    x_kong_request_id: HeaderValue = msgspec.field(default=None, name="x-kong-request-id")
    x_kong_proxy_latency: HeaderValue = msgspec.field(default=None, name="x-kong-proxy-latency")
    """Milliseconds in Kong before the upstream, as `latencies.kong` has them since 3.7."""


class Tls(msgspec.Struct, gc=False):
    """TLS to Kong, absent where the edge terminates it."""

    version: str | None = None
    cipher: str | None = None


class Request(msgspec.Struct, gc=False):
    """What came to Kong."""

    id: str = ""
    method: str | None = None
    uri: str | None = None
    url: str | None = None
    size: int | str | None = None
    headers: Headers | None = None
    tls: Tls | None = None


class Response(msgspec.Struct, gc=False):
    """What Kong meant to send."""

    status: int | None = None
    size: int | str | None = None
    headers: ResponseHeaders | None = None


class Latencies(msgspec.Struct, gc=False):
    """Milliseconds; `kong` includes `receive` before 3.7."""

    kong: _Number = None
    proxy: _Number = None
    receive: _Number = None
    request: _Number = None


class Attempted(msgspec.Struct, gc=False):
    """One try of the balancer."""

    ip: str | None = None
    port: int | None = None
    state: str | None = None
    code: int | None = None
    balancer_start: _Number = None
    balancer_start_ns: _Number = None
    balancer_latency: _Number = None
    balancer_latency_ns: _Number = None


class Named(msgspec.Struct, gc=False):
    """A service or route."""

    id: str | None = None
    name: str | None = None


class Credential(msgspec.Struct, gc=False):
    """What the client proved itself with."""

    id: str | None = None
    consumer_id: str | None = None
    """Seldom there."""


class Consumer(msgspec.Struct, gc=False):
    """The consumer that Kong matched."""

    id: str | None = None
    username: str | None = None
    custom_id: str | None = None


class TraceId(msgspec.Struct, gc=False):
    """Set only if a tracing plugin ran; one id in the forms that the plugin speaks."""

    w3c: str | None = None
    b3: str | None = None
    """16 or 32 hexadecimal digits; `jaeger` and `ot` too."""
    jaeger: str | None = None
    ot: str | None = None
    gcp: str | None = None
    """32 hexadecimal digits; `aws` too."""
    aws: str | None = None


class Entry(msgspec.Struct, gc=False):
    """One entry."""

    request: Request | None = None
    response: Response | None = None
    latencies: Latencies | None = None
    tries: list[Attempted] | dict[str, int] | None = None
    """Lua writes an empty list as `{}`."""
    started_at: _Number = None
    client_ip: str | None = None
    correlation_id: str | None = None
    trace_id: TraceId | None = None
    upstream_uri: str | None = None
    upstream_status: str | int | list[int | str] | None = None
    """`"502, 200"`; an integer with response buffering."""
    source: str | None = None
    service: Named | None = None
    route: Named | None = None
    consumer: Consumer | None = None
    authenticated_entity: Credential | None = None
    workspace: str | None = None
    workspace_name: str | None = None
    session: msgspec.Raw = msgspec.Raw()
    """Only stream (TCP, TLS) entries have one."""
    claims: dict[str, object] | None = None
    """By our `custom_fields_by_lua` snippet: `sub`, `client_id`, `iss`."""


NO_HEADERS = Headers()
NO_RESPONSE = Response()
NO_RESPONSE_HEADERS = ResponseHeaders()
NO_NAME = Named()
NO_CONSUMER = Consumer()
NO_CREDENTIAL = Credential()
NO_LATENCIES = Latencies()
