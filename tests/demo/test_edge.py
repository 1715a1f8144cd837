"""The stand-in edge: what it logs and forwards is what HAProxy would with the configuration of `deploy/`."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.demo.edge import stand_in_edge
from pipeline.demo.edge_line import EdgeLines
from pipeline.demo.edge_rules import load_rules
from pipeline.demo.http1 import HttpConnection, request_bytes
from pipeline.resources import resource

if TYPE_CHECKING:
    from conftest import Bench

CONFIG = resource("deploy/haproxy/haproxy.cfg")
HOST = ("Host", "api.example.com")


@pytest.fixture
def syslog() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        yield receiver


@pytest.fixture
async def edge(bench: Bench, syslog: socket.socket) -> AsyncIterator[int]:
    log = f"127.0.0.1:{syslog.getsockname()[1]}"
    async with stand_in_edge(load_rules(CONFIG), EdgeLines(CONFIG, "edge-1"), bench.ports, log) as port:
        yield port


async def line(syslog: socket.socket) -> dict[str, Any]:
    datagram = await asyncio.to_thread(syslog.recv, 65_536)
    found: dict[str, Any] = json.loads(datagram.partition(b" - - ")[2])
    return found


async def test_a_retried_request_is_one_line_and_several_entries(
    bench: Bench, edge: int, syslog: socket.socket
) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge)
    answer = await connection.exchange("GET", "/catalog/stock/1?busy=2", [HOST])
    await connection.close()
    logged = await line(syslog)
    await bench.entry(3)
    assert answer.status == logged["st"] == 200
    assert answer.header("x-request-id") == logged["id"]
    assert logged["rc"] == "+2"
    entries = bench.taker.entries
    assert [entry["response"]["status"] for entry in entries] == [503, 503, 200]
    assert {entry["request"]["headers"]["x-request-id"] for entry in entries} == {logged["id"]}
    assert entries[-1]["request"]["id"] == logged["kong_rid"]


async def test_what_a_client_claims_is_logged_and_stripped(
    bench: Bench, edge: int, syslog: socket.socket
) -> None:
    spoofed = [
        HOST,
        ("X-Request-ID", "mine"),
        ("traceparent", "00-1-2-01"),
        ("X-Consumer-Username", "root"),
        ("X-Forwarded-For", "192.0.2.66"),
        ("X-Kong-Request-Id", "f" * 32),
    ]
    connection = await HttpConnection.open("127.0.0.1", edge)
    await connection.exchange("GET", "/catalog/items/1", spoofed)
    await connection.close()
    logged, entry = await line(syslog), await bench.entry()
    assert (logged["c_rid"], logged["c_tp"]) == ("mine", "00-1-2-01")
    headers = entry["request"]["headers"]
    assert headers["x-request-id"] == logged["id"] != "mine"
    assert headers["traceparent"] == logged["tp"]
    assert headers["x-request-start"] == f"t={logged['req_us']}"
    assert headers["x-forwarded-for"] == entry["client_ip"] == "127.0.0.1"
    assert {"x-consumer-username", "x-kong-request-id"}.isdisjoint(headers)


@pytest.mark.parametrize(
    ("host", "status", "state", "backend"),
    [("old.example.com", 421, "PR--", "edge"), ("next.example.com", 503, "SC--", "kong_green")],
)
async def test_what_the_edge_answers_itself_has_a_line_and_an_id(
    edge: int, syslog: socket.socket, host: str, status: int, state: str, backend: str
) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge)
    answer = await connection.exchange("GET", "/", [("Host", host)])
    await connection.close()
    logged = await line(syslog)
    assert (answer.status, logged["st"], logged["ts"]) == (status, status, state)
    assert (logged["be"], logged["srv"], logged["kong_rid"]) == (backend, "<NOSRV>", "-")
    assert answer.header("x-request-id") == logged["id"]


async def test_a_client_that_leaves_is_logged_on_both_sides(
    bench: Bench, edge: int, syslog: socket.socket
) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge)
    ask = request_bytes("GET", "/reports/1?wait_ms=1500", [HOST, ("apikey", "mobile-key")])
    await connection.send(ask)
    await bench.requests_begun(1)
    await connection.close()
    logged, entry = await line(syslog), await bench.entry()
    assert (logged["ts"], logged["Tr"], logged["kong_rid"]) == ("CH--", -1, "-")
    assert entry["response"]["status"] == 499


async def test_log_counters_have_no_gap(edge: int, syslog: socket.socket) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge)
    for number in range(20):
        await connection.exchange("GET", f"/catalog/items/{number}", [HOST])
    await connection.close()
    assert [(await line(syslog))["lc"] for _ in range(20)] == list(range(20))
