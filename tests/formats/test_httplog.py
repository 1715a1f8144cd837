"""`option httplog`: read by nothing but spaces and slashes, each field of each line is the record's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.formats import flags as flag
from pipeline.formats.httplog import match_httplog
from pipeline.model import Timers

Parse = Callable[..., Any]
Load = Callable[[str], list[Any]]


def httplog_lines(load: Load) -> list[bytes]:
    """Give the lines of `option httplog` that need no grammar to be read: no captures, no cookies."""
    lines = [line.body.rstrip(b"\n") for line in load("raw-udp")]
    return [line for line in lines if b" - - " in line and b"]" in line and b"{" not in line and b"] fe_clf" not in line
            and line[:1] != b"{" and b" - - [" not in line]  # fmt: skip


def test_httplog_says_what_its_words_say(haproxy_lines: Load, parse_haproxy: Parse) -> None:
    """Read by nothing but spaces and slashes, each field of each line is the record's."""
    lines = httplog_lines(haproxy_lines)
    assert len(lines) > 90
    for line in lines:
        record = parse_haproxy(line)
        words = line.decode().split(" ")
        client, date, frontend, server, timers, status, size = words[:7]
        assert (record.client_ip, record.client_port) == (
            (None, None)
            if client == "unix:1"
            else (client.rpartition(":")[0], int(client.rpartition(":")[2]))
        )
        moment = datetime.strptime(date, "[%d/%b/%Y:%H:%M:%S.%f]").replace(tzinfo=UTC)
        assert record.start_us == round(moment.timestamp() * 1000) * 1000
        assert record.frontend == frontend.rstrip("~")
        assert record.backend == server.partition("/")[0]
        assert record.server == (None if server.endswith("<NOSRV>") else server.partition("/")[2])
        logged = [int(text.lstrip("+")) for text in timers.split("/")]
        assert record.timers == Timers(*(None if time < 0 else time for time in logged[:4]), Ta=logged[4])
        assert record.status == (int(status) if int(status) > 0 else None)
        assert record.response_bytes == int(size.lstrip("+"))
        assert record.termination == words[9]
        retries = words[10].split("/")[4]
        assert (record.retries, record.redispatched) == (int(retries.lstrip("+")), retries.startswith("+"))
        assert (flag.LOG_ASAP in record.flags) is ("+" in timers)
        assert record.scheme == ("https" if frontend.endswith("~") else "http")


def test_httplog_requests_are_split_as_the_client_sent_them(
    haproxy_lines: Load, parse_haproxy: Parse
) -> None:
    for line in httplog_lines(haproxy_lines):
        record = parse_haproxy(line)
        request = line.decode().partition('"')[2].partition('"')[0]
        if request == "<BADREQ>":
            assert record.method is record.path is record.http_version is None
            assert flag.BAD_REQUEST in record.flags
            continue
        method, target, *version = request.split(" ")
        assert record.method == method
        if target.startswith("https://"):
            _, _, host, path = target.split("/", 3)
            assert (record.host, record.http_version) == (host, "2")
            target = f"/{path}"
        path, _, query = target.partition("?")
        assert (record.path, record.query or "") == (path, query.replace("#22", '"'))
        assert (flag.TRUNCATED in record.flags) is (version == [])


def test_a_cookie_cannot_forge_a_request(parse_haproxy: Parse) -> None:
    """What HAProxy does not escape may look like the rest of a line; the true rest stands at the end."""
    forged = b'x" - ---- 9/9/9/9/9 0/0 {a|b} "GET /forged HTTP/1.1'
    line = (
        b"127.0.0.1:1 [23/Nov/2026:18:35:39.609] fe be/s 0/0/0/0/7 200 85 APP="
        + forged
        + b" - ---- 1/1/0/0/2 0/0 "
        b'"GET /true HTTP/1.1"'
    )
    record = parse_haproxy(line)
    assert (record.path, record.retries, record.status) == ("/true", 2, 200)


@pytest.mark.parametrize("cut", [70, 74, 80, 88, 94, 104, 112, 125, 134])
def test_an_httplog_line_that_was_cut_is_read_as_far_as_it_goes(cut: int, parse_haproxy: Parse) -> None:
    line = (
        b"127.0.0.1:43424 [23/Nov/2026:18:35:39.609] fe_http be_ok/s1 0/0/3/21/24 200 85 - - ---- 1/1/0/0/1 0/0 {h} "
        b'"GET /ok?x=1&y=a%20b HTTP/1.1"'
    )
    whole, record = parse_haproxy(line), parse_haproxy(line[:cut] + b"\n")
    assert flag.TRUNCATED in record.flags
    assert flag.TRUNCATED not in whole.flags
    assert (record.start_us, record.frontend, record.rec_id) == (whole.start_us, "fe_http", whole.rec_id)
    assert record.status in {None, 200}
    assert record.timers.Ta in {None, 24}


@pytest.mark.parametrize(
    "message",
    [
        "127.0.0.1:60136 [23/Nov/2026:18:36:59.716] fe~ 1/1 24/0000000000000000/0/0/0 -/TLSv1.3/(NONE)",
        "127.0.0.1:39442 [23/Nov/2026:18:36:47.769] fe_tcp be/s1 1/0/5 82 -- 1/1/0/0/0 0/0",
        "127.0.0.1:1 [23/Nov/2026:18:36:53.268] fe/1: SSL handshake failure",
        "Connect from 127.0.0.1:40444 to 127.0.0.1:18101 (fe/HTTP)",
        "",
    ],
)
def test_what_only_begins_alike_is_no_httplog(message: str) -> None:
    assert match_httplog(message, set()) is None


def test_httpslog_and_a_trailing_id_are_told_apart_by_themselves() -> None:
    head = '192.0.2.1:1 [23/Nov/2026:18:36:52.029] fe~ be/s1 0/0/3/0/3 200 85 - - ---- 1/1/0/0/0 0/0 "GET /ok HTTP/1.1"'
    tls = " 0/0000000000000000/18/0/0 api.example.test/TLSv1.3/TLS_AES_256_GCM_SHA384"
    flags: set[str] = set()
    both = match_httplog(f"{head}{tls} an-id", flags) or {}
    assert (both["sni"], both["sslv"], both["ID"]) == ("api.example.test", "TLSv1.3", "an-id")
    assert (match_httplog(f"{head} an-id", flags) or {})["ID"] == "an-id"
    assert (match_httplog(head, flags) or {})["ID"] is None
    assert not flags
