"""Secrets are planted wherever a client could put one; nothing that leaves this room may hold one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.errors import MalformedLine
from pipeline.formats.dead_letter import to_dead_letter
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.line_formats import LineFormat
from pipeline.formats.log_format import compile_format
from pipeline.formats.redact import Redactor
from pipeline.formats.sealed import Sealer
from pipeline.model import Source

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzM2NyM3QifQ.s3cr3tSignatureS3cr3t"
PLANTED = {
    "password": "hunter2s3cr3t",
    "api_key": "k3yS3cr3tValue",
    "token": "t0k3nS3cr3tValue",
    "jwt": JWT,
    "basic": "dXNlcjpzM2NyM3RwYXNz",
    "cookie": "c00kieS3cr3tValue",
    "sig": "s1gS3cr3tValue%2Babc",
    "github": "ghp_s3cr3ts3cr3ts3cr3ts3cr3t",
    "aws": "AKIAS3CR3TS3CR3TS3CR",
    "session": "s3ss10nS3cr3tValue",
}
QUERY = "&".join(
    [
        f"password={PLANTED['password']}", f"api_key={PLANTED['api_key']}", f"access%5Ftoken={PLANTED['token']}",
        f"x=1;token={PLANTED['token']}", f"id_token_hint={PLANTED['jwt']}", f"sig={PLANTED['sig']}", f"q={PLANTED['github']}",
        f"next=%2Fcb%3Ftoken%3D{PLANTED['token']}", f"next=%252Fcb%253Fapi_key%253D{PLANTED['api_key']}",
        f"X-Amz-Credential={PLANTED['aws']}", f"a[password]={PLANTED['password']}", f"auth=Bearer+{PLANTED['token']}",
        f"r=Basic%20{PLANTED['basic']}", "plain=kept",
    ]
)  # fmt: skip
PATH = f"/a/{JWT}/b;jsessionid={PLANTED['session']}"
AGENT = f"agent {JWT} Bearer {PLANTED['token']} {PLANTED['github']}"
HEADERS = {
    "authorization": f"Bearer {PLANTED['token']}",
    "cookie": f"sid={PLANTED['cookie']}; theme=dark; jwt={JWT}",
    "set-cookie": [f"sid={PLANTED['cookie']}; Path=/", f"b={PLANTED['session']}"],
    "x-api-key": PLANTED["api_key"],
    "apikey": [PLANTED["api_key"], PLANTED["token"]],
    "x-request-id": [JWT, "33df4ccb-fc3a-4fcb-be9d-64c13e45f29c"],
    "traceparent": f"Bearer {PLANTED['token']}",
    "user-agent": AGENT,
    "host": f"user:{PLANTED['password']}@api.example.com",
    "referer": f"https://x/?{QUERY}",
    "x-forwarded-for": PLANTED["token"],
}


def entry(**changes: Any) -> dict[str, Any]:
    uri = f"{PATH}?{QUERY}#access_token={PLANTED['token']}"
    return {
        "request": {
            "id": "022f864593fa982d12195e309d928e17", "method": "GET", "uri": uri, "size": 1, "headers": HEADERS,
            "url": f"http://user:{PLANTED['password']}@h:8000{uri}",
            "querystring": {"password": PLANTED["password"], PLANTED["token"]: True, "a": [PLANTED["github"], True]},
        },
        "response": {"status": 200, "size": 1, "headers": HEADERS},
        "started_at": 1795460246034, "upstream_uri": uri, "client_ip": "192.0.2.9", "correlation_id": JWT,
        "latencies": {"kong": 1, "proxy": 2, "receive": 3, "request": 6}, "tries": [], "service": {"name": "main"},
        "body": PLANTED["password"], **changes,
    }  # fmt: skip


def json_line(**changes: Any) -> bytes:
    line = {
        "v": "hap-req/1", "id": "33df4ccb-fc3a-4fcb-be9d-64c13e45f29c", "node": "edge-1", "acc": "1795458940.099", "ci": "192.0.2.9",
        "path": PATH, "q": QUERY, "ua": AGENT, "host": f"h {JWT}", "c_rid": JWT, "c_tp": f"Bearer {PLANTED['token']}",
        "sub": PLANTED["password"], "sni": JWT, "dn": f"CN={JWT}", "m": "GET", "authorization": PLANTED["basic"], **changes,
    }  # fmt: skip
    return json.dumps(line, separators=(",", ":")).encode()


HEADER = b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - - "
HTTPLOG = (
    f"192.0.2.9:1 [23/Nov/2026:18:35:39.609] fe be/s 0/0/0/0/7 200 85 sid={PLANTED['cookie']} b={PLANTED['session']} ---- 1/1/0/0/2 "
    f'0/0 {{{AGENT}|{PLANTED["token"]}}} {{{PLANTED["cookie"]}}} "GET https://u:{PLANTED["password"]}@h{PATH}?{QUERY} HTTP/2.0"'
).encode()


def haproxy_bodies() -> Iterator[bytes]:
    yield HEADER + json_line()
    yield HEADER + json_line(path=None, uri=f"{PATH}?{QUERY}")
    for cut in (350, 700, 1100, 1500, len(json_line()) - 5):
        yield HEADER + json_line()[:cut]  # cut off: recovered, or dead
    yield HEADER + json_line(v=f"hap-req/{PLANTED['token']}")
    yield HEADER + json_line(acc=PLANTED["token"])
    yield HEADER + json_line().replace(b'"v"', b'"w"')  # JSON of no known format
    yield HEADER + json_line().replace(b":", b"=", 1)
    yield HEADER + HTTPLOG
    for cut in (150, 220, 300, 500, 900):
        yield HEADER + HTTPLOG[:cut]
    yield HEADER + HTTPLOG.replace(b"0/0/0/0/7", b"0/0/0")  # of no known format
    yield HEADER + f"Cookie: sid={PLANTED['cookie']} Authorization: Basic {PLANTED['basic']}".encode()
    yield HEADER + f"Something said {PLANTED['token']} and {JWT}".encode()
    yield f"GET {PATH}?{QUERY} HTTP/1.1 {PLANTED['basic']} {PLANTED['session']}".encode()
    yield HEADER + f"192.0.2.9:1 [23/Nov/2026:18:35:39.609] fe/1: SSL handshake failure {JWT}".encode()
    yield (
        HEADER
        + f"custom 192.0.2.9 23/Nov/2026:18:35:39.609 200 {AGENT}|{PLANTED['cookie']}|GET {PATH}?{QUERY} HTTP/1.1".encode()
    )


def kong_bodies() -> Iterator[bytes]:
    whole = json.dumps(entry()).encode()
    yield whole
    yield json.dumps(entry(), ensure_ascii=True).replace("/", "\\/").encode()
    for cut in range(200, len(whole), 257):
        yield whole[:cut]
    yield whole.replace(b'"GET"', b'"G\xff"')
    yield json.dumps(entry(started_at=None)).encode()
    yield json.dumps(entry(request=None)).encode()
    yield json.dumps(
        entry(request=None, session={"tls": {"sni": JWT}, "received": 1, "token": PLANTED["token"]})
    ).encode()
    yield json.dumps(entry(request={"headers": "x", "uri": [PLANTED["token"]], "id": 7})).encode()
    yield json.dumps([entry()]).encode()
    yield json.dumps(PLANTED).encode()
    yield f"not json {PLANTED['password']}={PLANTED['token']} {JWT}".encode()
    yield b'{"request": {"headers": {"cookie": "' + PLANTED["cookie"].encode() + b" {}[],: \xff"


FORMAT = "%[capture.req.hdr(2)] %ci %tr %ST %[capture.req.hdr(0)]|%CC|%r"


@pytest.fixture
def parsers(redactor: Redactor) -> dict[Source, Any]:
    formats = [LineFormat(compile_format(FORMAT, names={"capture.req.hdr(0)": "user_agent"}))]
    return {
        Source.HAPROXY: HaproxyParser(redactor=redactor, formats=formats),
        Source.KONG: KongParser(redactor=redactor),
    }


def left(source: Source, body: bytes, parsers: dict[Source, Any], redactor: Redactor) -> str:
    """Give all that leaves the room for a body, as text."""
    sealed = Sealer(parsers[Source.HAPROXY], parsers[Source.KONG], redactor).seal(
        source, body, arrival_ns=1, peer=""
    )
    shown = sealed.decode()
    try:
        return f"{parsers[source].parse(body, offset=1, arrival_ns=1, peer='')!r} {shown}"
    except MalformedLine as error:
        letter = to_dead_letter(
            body, offset=1, source=source, arrival_ns=1, peer="", error=error, redactor=redactor
        )
        return f"{letter!r} {error!r} {error} {error.__cause__!r} {shown}"


def found_in(text: str) -> list[str]:
    parts = [*PLANTED.values(), *JWT.split("."), "S3cr3t", "s3cr3t", "S3CR3T"]
    return [part for part in parts if part in text]


@pytest.mark.parametrize("index", range(len(list(haproxy_bodies()))))
def test_no_secret_of_a_line_leaves(index: int, parsers: dict[Source, Any], redactor: Redactor) -> None:
    body = list(haproxy_bodies())[index]
    text = left(Source.HAPROXY, body, parsers, redactor)
    assert not found_in(text), text


@pytest.mark.parametrize("index", range(len(list(kong_bodies()))))
def test_no_secret_of_an_entry_leaves(index: int, parsers: dict[Source, Any], redactor: Redactor) -> None:
    body = list(kong_bodies())[index]
    text = left(Source.KONG, body, parsers, redactor)
    assert not found_in(text), text
    for part in [] if body[:1] != b"[" else split_body(body):
        assert not found_in(left(Source.KONG, part, parsers, redactor))


def test_nothing_is_logged_of_what_is_read(
    parsers: dict[Source, Any], redactor: Redactor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for body in (*haproxy_bodies(), *kong_bodies()):
        for source in Source:
            left(source, body, parsers, redactor)
    assert not found_in(caplog.text)


def test_what_is_no_secret_is_kept(parsers: dict[Source, Any]) -> None:
    record = parsers[Source.KONG].parse(json.dumps(entry()).encode(), offset=1, arrival_ns=1, peer="")
    assert record.query.endswith("&plain=kept")
    assert record.path.startswith("/a/~")
    assert record.host == "api.example.com"
    assert record.user_agent.startswith("agent ~")
    assert record.request_ids[1] == "33df4ccb-fc3a-4fcb-be9d-64c13e45f29c"


def test_equal_secrets_are_told_equal_on_both_sides(parsers: dict[Source, Any]) -> None:
    edge = parsers[Source.HAPROXY].parse(json_line(), offset=1, arrival_ns=1, peer="")
    gateway = parsers[Source.KONG].parse(json.dumps(entry()).encode(), offset=1, arrival_ns=1, peer="")
    assert edge.query == gateway.query
    assert edge.path == gateway.path
    assert edge.claimed_request_id == gateway.request_ids[0] == gateway.correlation_id
