"""Lineages made of records, and their spans read back with the official protobuf classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Timers, Try
from pipeline.spans import Built, Framer, Spans, SpanSettings

START_US = 1_795_460_243_518_000
REQUEST_ID = "47c60cd1-3b7a-4e1c-8f2d-0a1b2c3d4e5f"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
EDGE_SPAN = "b7ad6b7169203331"
KONG_IDS = ("b49d0708a1b2c3d4e5f60718293a4b5c", "c49d0708a1b2c3d4e5f60718293a4b5d")

Make = Callable[..., Any]


def make_edge(**fields: Any) -> EdgeRecord:
    """Give the edge record of a request that went well, or another."""
    usual = {
        "rec_id": 77,
        "offset": 1,
        "request_id": REQUEST_ID,
        "start_us": START_US,
        "gateway_request_id": KONG_IDS[0],
        "traceparent": f"00-{TRACE_ID}-{EDGE_SPAN}-01",
        "node": "edge-1",
        "frontend": "fe_main",
        "backend": "be_kong",
        "server": "kong1",
        "server_ip": "10.0.0.5",
        "server_port": 8000,
        "client_ip": "192.0.2.7",
        "client_port": 40312,
        "timers": Timers(TR=2, Tw=0, Tc=1, Tr=20, Td=3, Ta=26),
        "status": 200,
        "termination": "----",
        "method": "GET",
        "scheme": "https",
        "host": "api.example.com",
        "path": "/orders/7",
        "query": "page=2",
        "http_version": "2",
        "user_agent": "curl/8",
        "tls_version": "TLSv1.3",
        "tls_cipher": "TLS_AES_256_GCM_SHA384",
    }
    return EdgeRecord(**{**usual, **fields})


def make_attempt(number: int = 0, **fields: Any) -> GatewayRecord:
    """Give what the gateway logged of an attempt that went well, or of another."""
    usual = {
        "attempt_id": 1000 + number,
        "offset": 2 + number,
        "request_ids": (REQUEST_ID,),
        "started_us": START_US + 3000 + 40_000 * number,
        "gateway_request_id": KONG_IDS[number],
        "traceparent": f"00-{TRACE_ID}-{EDGE_SPAN}-01",
        "node": "10.0.0.5",
        "kong_ms": 2.0,
        "proxy_ms": 15.0,
        "receive_ms": 1.0,
        "request_ms": 19.0,
        "status": 200,
        "source": "upstream",
        "method": "GET",
        "scheme": "http",
        "host": "api.example.com",
        "path": "/orders/7",
        "query": "page=2",
        "user_agent": "curl/8",
        "upstream_uri": "/v2/orders/7?page=2",
        "upstream_status": ("200",),
        "client_ip": "192.0.2.7",
        "service": "orders",
        "service_id": "a-service",
        "route": "orders-by-id",
        "route_id": "a-route",
        "workspace": "default",
        "tries": (Try("10.1.0.9", 9000, None, None, START_US + 5000 + 40_000 * number, 0.0),),
    }
    return GatewayRecord(**{**usual, **fields})


def make_lineage(edge: EdgeRecord | None, *attempts: GatewayRecord) -> Lineage:
    """Give the one lineage that records make."""
    (lineage,) = resolve([edge] if edge else [], list(attempts))
    return lineage


def read_back(bodies: Iterable[bytes]) -> list[tuple[dict[str, str], Span]]:
    """Read export requests with the official classes: resource attributes and span, in order."""
    found = []
    for body in bodies:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {a.key: a.value.string_value for a in group.resource.attributes}
            found += [(about, span) for scoped in group.scope_spans for span in scoped.spans]
    return found


def attributes(span: Any) -> dict[str, Any]:
    """Give a span's, event's or link's attributes as plain values."""
    return {a.key: _plain(a.value) for a in span.attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    return getattr(value, kind)


def spans_of(lineage: Lineage, **settings: Any) -> list[Span]:
    """Give a lineage's spans, in order, as a receiver reads them."""
    built = Spans(SpanSettings(**settings)).of(lineage)
    return [span for one in built for _, span in sent_of([one])]


def sent_of(built: Sequence[Built]) -> list[tuple[dict[str, str], Span]]:
    """Give spans with their resources as a receiver reads them."""
    framer = Framer()
    framer.add(built)
    return read_back(frame.body for frame in framer.take())


@pytest.fixture
def edge() -> Make:
    return make_edge


@pytest.fixture
def attempt() -> Make:
    return make_attempt


@pytest.fixture
def lineage() -> Make:
    return make_lineage


@pytest.fixture
def spans() -> Make:
    return spans_of


@pytest.fixture
def sent() -> Make:
    return sent_of


@pytest.fixture
def attributes_of() -> Make:
    return attributes


@pytest.fixture
def pair() -> Lineage:
    """Give a request that went well."""
    return make_lineage(make_edge(), make_attempt())


@pytest.fixture
def retried() -> Lineage:
    """Give a request that the edge sent twice: the first answer was 503, the second 200."""
    first = make_attempt(0, status=503, upstream_status=("502", "503"), tries=_two_tries())
    return make_lineage(
        make_edge(
            gateway_request_id=KONG_IDS[1], retries=1, timers=Timers(TR=2, Tw=5, Tc=41, Tr=20, Td=3, Ta=71)
        ),
        first,
        make_attempt(1),
    )


def _two_tries() -> tuple[Try, ...]:
    return (
        Try("10.1.0.8", 9000, "failed", 502, START_US + 5000, 0.0),
        Try("10.1.0.9", 9000, None, None, START_US + 9000, 1.0),
    )
