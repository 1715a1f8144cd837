"""The real HAProxy with `deploy/haproxy/haproxy.cfg`: its lines, byte for byte and under attack."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.demo.edge_line import EdgeFacts, EdgeLines
from pipeline.demo.http1 import HttpConnection
from pipeline.model import EdgeRecord
from pipeline.resources import resource

if TYPE_CHECKING:
    from conftest import Edge

pytestmark = pytest.mark.haproxy
CONFIG = resource("deploy/haproxy/haproxy.cfg")
HOST = ("Host", "api.example.com")
Record = Callable[[bytes], EdgeRecord]


def message(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line.partition(b" - - ")[2])
    return found


HOSTILE = [
    b'quote" backslash\\ slash/',
    b"\xff\xfe not utf-8 \xc3\x28",
    "tea \N{TEACUP WITHOUT HANDLE} ö".encode(),
    b"\x01\x1b[31m\x7f",
    b'","st":200,"end":1}',
    b"A" * 3000,
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_client_can_break_or_forge_a_line(edge: Edge, record: Record, text: bytes) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge.port)
    head = b"GET /nothing HTTP/1.1\r\nHost: api.example.com\r\n"
    for name in (b"User-Agent", b"X-Request-ID", b"traceparent"):
        head += name + b": " + text + b"\r\n"
    await connection.send(head + b"\r\n")
    answer = await connection.answer()
    await connection.close()
    (line,) = await edge.lines(1)
    assert line.count(b"\n") == 1
    assert line.isascii()
    logged = message(line)
    assert (logged["st"], logged["end"], logged["id"]) == (answer.status, 1, answer.header("x-request-id"))
    assert record(line).status == answer.status
    # The stand-in refuses control characters, as Kong does not; the edge then answers 502.
    assert answer.status == (502 if b"\x01" in text else 404)


async def test_over_tls_the_line_tells_version_cipher_and_name(edge: Edge, record: Record) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", edge.tls_port, ssl=context, server_hostname="api.example.com"
    )
    connection = HttpConnection(reader, writer)
    answer = await connection.exchange("GET", "/catalog/items/1", [HOST])
    await connection.close()
    (line,) = await edge.lines(1)
    found = record(line)
    assert answer.status == 200
    assert (found.scheme, found.tls_version, found.tls_sni) == ("https", "TLSv1.3", "api.example.com")
    assert found.tls_cipher
    assert dict(edge.served[0].headers)["x-forwarded-proto"] == "https"


async def test_log_counters_have_no_gap(edge: Edge) -> None:
    connection = await HttpConnection.open("127.0.0.1", edge.port)
    for number in range(30):
        await connection.exchange("GET", f"/catalog/items/{number}", [HOST])
    await connection.close()
    lines = await edge.lines(30)
    assert sorted(message(line)["lc"] for line in lines) == list(range(30))


async def test_the_demos_own_writer_gives_the_bytes_that_haproxy_gives(edge: Edge) -> None:
    writer = EdgeLines(CONFIG, "edge-1")
    await edge.ask("GET", '/catalog/items/7?x=1&y="two"', [("User-Agent", "ö/1"), ("X-Request-ID", "a/b")])
    await edge.ask("GET", "/catalog/stock/1?busy=1")
    await edge.ask("POST", "/nothing", body=b"abc")
    connection = await HttpConnection.open("127.0.0.1", edge.port)
    await connection.exchange("GET", "/", [("Host", "old.example.com")])
    await connection.close()
    for line in await edge.lines(4):
        theirs = line.partition(b" - - ")[2].rstrip(b"\n")
        assert writer.message(facts_of(json.loads(theirs))).encode() == theirs


def facts_of(line: dict[str, Any]) -> EdgeFacts:
    """Give the facts that a line tells."""

    def text(name: str) -> str | None:
        return None if line[name] == "-" else str(line[name])

    def number(name: str) -> int | None:
        return None if line[name] == "-" else int(line[name])

    seconds, milliseconds = line["acc"].split(".")
    return EdgeFacts(
        request_id=line["id"],
        traceparent=line["tp"],
        pid=line["pid"],
        request_counter=line["rt"],
        log_counter=line["lc"],
        node=line["node"],
        accepted_us=int(seconds) * 1_000_000 + int(milliseconds) * 1000,
        headers_us=int(line["req_us"]),
        end_us=int(line["end_us"]),
        Ta=int(line["Ta"]),
        **{name: line[name] for name in ("Th", "Ti", "TR", "Tw", "Tc", "Tr", "Td")},
        client_ip=line["ci"],
        client_port=int(line["cp"]),
        bind_ip=line["fi"],
        bind_port=int(line["fp"]),
        frontend=line["fe"],
        backend=line["be"],
        server=line["srv"],
        server_ip=text("si"),
        server_port=number("sp"),
        source_ip=text("bi"),
        source_port=number("bp"),
        pool=text("pool"),
        roll=number("roll"),
        method=line["m"],
        host=text("host"),
        path=text("path"),
        query=text("q"),
        http_major=int(line["hv"]),
        user_agent=text("ua"),
        bytes_read=int(line["U"]),
        claimed_request_id=text("c_rid"),
        claimed_traceparent=text("c_tp"),
        status=line["st"],
        bytes_sent=int(line["B"]),
        termination=line["ts"],
        retries=int(line["rc"].lstrip("+")),
        redispatched=line["rc"].startswith("+"),
        server_queue=line["sq"],
        backend_queue=line["bq"],
        connections=(line["ac"], line["fc"], line["bc"], line["sc"]),
        frontend_error=int(line["ferr"]),
        gateway_request_id=text("kong_rid"),
        gateway_proxy_ms=number("kong_pl"),
        gateway_upstream_ms=number("kong_ul"),
    )
