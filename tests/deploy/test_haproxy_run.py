"""The real HAProxy with `deploy/haproxy/haproxy.cfg`, in front of the stand-in gateway: what it does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.demo.http1 import HttpConnection, request_bytes
from pipeline.model import EdgeEvent, EdgeRecord
from pipeline.resources import resource

if TYPE_CHECKING:
    from conftest import Edge, Parse

pytestmark = pytest.mark.haproxy
CONFIG = resource("deploy/haproxy/haproxy.cfg")
HOST = ("Host", "api.example.com")
Record = Callable[[bytes], EdgeRecord]


def message(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line.partition(b" - - ")[2])
    return found


async def test_ids_start_time_and_trace_are_made_at_the_edge_and_logged(edge: Edge, record: Record) -> None:
    answer = await edge.ask("GET", "/catalog/items/7?x=1&y=two", [("User-Agent", "t/1")])
    (line,) = await edge.lines(1)
    logged, edge_record, headers = message(line), record(line), dict(edge.served[0].headers)
    assert answer.header("x-request-id") == logged["id"] == headers["x-request-id"] == edge_record.request_id
    assert headers["traceparent"] == logged["tp"] == edge_record.traceparent
    assert headers["x-request-start"] == f"t={logged['req_us']}"
    assert edge_record.request_start_us == int(logged["req_us"])
    assert answer.header("x-kong-request-id") == logged["kong_rid"] == edge_record.gateway_request_id
    assert (edge_record.method, edge_record.path, edge_record.status) == ("GET", "/catalog/items/7", 200)
    assert (edge_record.query or "").count("=") == 2
    assert (edge_record.backend, edge_record.termination) == ("kong_blue", "----")
    assert edge_record.server in {"blue1", "blue2"}
    assert (edge_record.client_ip, edge_record.node, edge_record.user_agent) == ("127.0.0.1", "edge-1", "t/1")
    assert None not in (edge_record.timers.TR, edge_record.timers.Tr, edge_record.timers.Ta)


async def test_nothing_that_kong_would_believe_comes_from_the_client(edge: Edge, record: Record) -> None:
    spoofed = {
        "X-Request-ID": "mine",
        "X-Correlation-ID": "mine",
        "X-Request-Start": "t=1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=1",
        "baggage": "a=1",
        "b3": "1",
        "X-B3-TraceId": "1",
        "uber-trace-id": "1",
        "Forwarded": "for=192.0.2.66",
        "X-Forwarded-For": "192.0.2.66",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/x",
        "X-Real-IP": "192.0.2.66",
        "X-Kong-Request-Id": "f" * 32,
        "Kong-Debug": "1",
        "X-Consumer-Username": "root",
        "X-Credential-Identifier": "root",
        "X-Anonymous-Consumer": "true",
        "X-Client-Cert-Verify": "0",
    }
    await edge.ask(
        "GET", "/catalog/items/1", [*spoofed.items(), ("X-Request-ID", "mine too"), ("X-Own", "kept")]
    )
    (line,) = await edge.lines(1)
    logged, headers = message(line), edge.served[0].headers
    names = [name for name, _ in headers]
    ours = {
        "x-request-id": logged["id"],
        "x-request-start": f"t={logged['req_us']}",
        "traceparent": logged["tp"],
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-port": str(edge.port),
        "x-forwarded-host": "api.example.com",
    }
    assert {name: value for name, value in headers if name in ours} == ours
    assert all(names.count(name) == 1 for name in ours)
    assert {name.lower() for name in spoofed} & set(names) == ours.keys() & {name.lower() for name in spoofed}
    assert dict(headers)["x-own"] == "kept"
    claimed = record(line)
    assert claimed.claimed_traceparent == spoofed["traceparent"]
    assert "mine" in (claimed.claimed_request_id or "")


async def test_credentials_reach_kong_unchanged_and_never_the_log(edge: Edge) -> None:
    key = [("apikey", "mobile-key"), ("Authorization", "Bearer abc.def.ghi"), ("Cookie", "session=s3cr3t")]
    await edge.ask("GET", "/orders?customer=1", key)
    await edge.lines(1)
    served = edge.served[0]
    assert served.credential is not None
    assert served.credential.consumer.username == "mobile-app"
    assert dict(served.headers)["authorization"] == "Bearer abc.def.ghi"
    log = b"".join(edge.log.received)
    for secret in (b"mobile-key", b"abc.def.ghi", b"s3cr3t"):
        assert secret not in log


async def test_a_retry_sends_the_same_id_to_the_gateway_again(edge: Edge, record: Record) -> None:
    answer = await edge.ask("GET", "/catalog/stock/1?busy=2")
    (line,) = await edge.lines(1)
    assert answer.status == 200
    assert [served.status for served in edge.served] == [503, 503, 200]
    assert {dict(served.headers)["x-request-id"] for served in edge.served} == {answer.header("x-request-id")}
    assert len({served.gateway_id for served in edge.served}) == 3
    edge_record = record(line)
    assert (edge_record.retries, edge_record.status) == (2, 200)
    assert edge_record.gateway_request_id == edge.served[-1].gateway_id


async def test_what_is_not_idempotent_is_never_sent_twice(edge: Edge, record: Record) -> None:
    answer = await edge.ask("POST", "/catalog-of-nothing?busy=2", body=b"x")
    assert answer.status == 404
    answer = await edge.ask("POST", "/orders?status=503", [("apikey", "mobile-key")], b"x")
    assert answer.status == 503
    lines = await edge.lines(2)
    assert len(edge.served) == 2
    assert [record(line).retries for line in lines] == [0, 0]


@pytest.mark.parametrize(
    ("host", "status", "state", "backend"),
    [("old.example.com", 421, "PR--", "edge"), ("next.example.com", 503, "SC--", "kong_green")],
)
async def test_what_the_edge_answers_itself_has_an_id_and_a_line(
    edge: Edge, record: Record, host: str, status: int, state: str, backend: str
) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge.port)
    answer = await connection.exchange("GET", "/", [("Host", host)])
    await connection.close()
    (line,) = await edge.lines(1)
    found = record(line)
    assert (answer.status, found.status, found.termination) == (status, status, state)
    assert (found.backend, found.server, found.gateway_request_id) == (backend, None, None)
    assert answer.header("x-request-id") == found.request_id
    assert edge.served == []


async def test_a_client_that_leaves_is_logged_by_both(edge: Edge, record: Record) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge.port)
    ask = request_bytes("GET", "/reports/1?wait_ms=1500", [HOST, ("apikey", "mobile-key")])
    await connection.send(ask)
    await edge.until(lambda: edge.gateway is not None and edge.gateway.begun == 1)
    await connection.close()
    (line,) = await edge.lines(1)
    await edge.until(lambda: len(edge.served) == 1)
    found = record(line)
    assert (found.termination or "")[0] == "C"
    assert (found.timers.Tr, found.gateway_request_id) == (None, None)
    assert edge.served[0].status == 499


async def test_a_bad_request_has_a_line_of_its_own_kind(edge: Edge, record: Record) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge.port)
    await connection.send(b"GET\r\n\r\n")
    answer = await connection.answer()
    await connection.close()
    (line,) = await edge.lines(1, "hap-err/1")
    assert answer.status == message(line)["st"] == 400
    found = record(line)
    assert (found.status, found.request_id, found.method) == (400, "", None)
    assert (found.termination, found.client_ip, found.node) == ("PR--", "127.0.0.1", "edge-1")
    assert "bad_request" in found.flags


async def test_a_failed_handshake_is_an_event_and_no_request(edge: Edge, parse: Parse) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge.tls_port)
    await connection.send(b"this is not a handshake\r\n\r\n")
    (line,) = await edge.lines(1, "hap-err/1")
    await connection.close()
    found = parse(line)
    assert isinstance(found, EdgeEvent)
    assert (found.kind, found.client_ip, found.node) == ("connection_error", "127.0.0.1", "edge-1")
