"""Every captured line of HAProxy, in every envelope, against what the line itself says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import ConfigError, MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.framing import StreamFramer
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeEvent, EdgeRecord, Timers

DATAGRAMS = ("raw-udp", "local-udp", "rfc3164-udp", "rfc5424-udp", "timed-udp")
Parse = Callable[..., Any]
Load = Callable[[str], list[Any]]

KINDS = {
    "request": 203,
    "proxy_state": 40,
    "connection_error": 24,
    "server_state": 13,
    "health_check": 10,
    "tcp_session": 7,
    "connection": 6,
    "no_server": 3,
}


def kind_of(record: EdgeRecord | EdgeEvent) -> str:
    return "request" if isinstance(record, EdgeRecord) else record.kind


@pytest.mark.parametrize("name", DATAGRAMS)
def test_no_captured_line_is_dead_and_each_is_what_it_is(
    name: str, haproxy_lines: Load, parse_haproxy: Parse
) -> None:
    kinds = Counter(kind_of(parse_haproxy(line.body)) for line in haproxy_lines(name))
    assert kinds == KINDS


@pytest.mark.parametrize("name", ["rfc5424-tcp-octet", "rfc3164-tcp-legacy"])
def test_captured_streams_hold_the_same_lines_but_those_of_the_shutdown(
    name: str, captures: Path, parse_haproxy: Parse
) -> None:
    framer = StreamFramer()
    frames = framer.feed((captures / "haproxy" / f"{name}.bin").read_bytes()) + framer.close()
    kinds = Counter(kind_of(parse_haproxy(frame)) for frame in frames)
    assert kinds == KINDS | {"proxy_state": 2}


def test_haproxy_lines_beside_kong_captures_are_all_requests(captures: Path, parse_haproxy: Parse) -> None:
    logs = sorted((captures / "kong").rglob("*.log"))
    records = [parse_haproxy(line) for log in logs for line in log.read_bytes().splitlines()]
    assert len(records) == 1678
    assert all(isinstance(record, EdgeRecord) for record in records)


@pytest.mark.parametrize("name", DATAGRAMS[1:])
def test_the_envelope_changes_nothing_in_a_record(
    name: str, haproxy_lines: Load, parse_haproxy: Parse
) -> None:
    """Node, pid and severity come from the header; all else is the message's."""
    for bare, line in zip(haproxy_lines("raw-udp"), haproxy_lines(name), strict=True):
        expected, record = parse_haproxy(bare.body), parse_haproxy(line.body)
        header = {"node": record.node, "pid": record.pid}
        if isinstance(record, EdgeEvent):
            header |= {"severity": record.severity}
            if expected.time_us is None:
                header |= {"time_us": record.time_us}
        assert msgspec.structs.replace(expected, **header) == record
        if name == "rfc5424-udp":
            is_json = isinstance(record, EdgeRecord) and b'{"v"' in line.body
            assert record.pid == 28764
            assert record.node == ("vm" if is_json or b'"hap-err' in line.body else "edge-lab-1")


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


def test_json_lines_say_what_their_keys_say(haproxy_lines: Load, parse_haproxy: Parse) -> None:
    lines = [line.body for line in haproxy_lines("raw-udp") if line.body.startswith(b'{"v":"hap-req')]
    assert len(lines) == 60
    for line in lines:
        said, record = json.loads(line), parse_haproxy(line)
        accept = said["acc"].replace(".", "")
        assert record.request_id == said["id"]
        assert record.start_us == (int(accept) + max(said["Th"], 0) + max(said["Ti"], 0)) * 1000
        assert record.timers == Timers(
            *(None if said[name] < 0 else said[name] for name in ("TR", "Tw", "Tc", "Tr", "Td")),
            Ta=int(said["Ta"]), Th=said["Th"], Ti=said["Ti"],
        )  # fmt: skip
        assert (record.node, record.pid, record.log_counter) == (said["host"], said["pid"], said["lc"])
        assert (record.end_us, record.request_bytes, record.response_bytes) == (
            int(said["end_us"]), said["U"], int(said["B"]),
        )  # fmt: skip
        assert record.status == (said["st"] if said["st"] > 0 else None)
        assert (record.termination, record.frontend, record.backend) == (said["ts"], said["fe"], said["be"])
        for name, text in (("traceparent", said["tp"]), ("user_agent", said["ua"]), ("host", said["hst"]),
                           ("tls_version", said["tls"]), ("tls_sni", said["sni"]), ("tls_client_dn", said["dn"])):  # fmt: skip
            assert getattr(record, name) == (None if text == "-" else text)
        assert record.tls_client_verify == (said["cv"] if said["cc"] == "1" else None)
        assert record.scheme == ("http" if said["tls"] == "-" else "https")


def test_every_json_line_takes_the_fast_path(haproxy_lines: Load, haproxy: HaproxyParser) -> None:
    lines = [line.body for line in haproxy_lines("rfc5424-udp") if b'{"v":"hap-req' in line.body]
    assert len(lines) == 60
    assert all(haproxy._json.parse_fast(line, 1, "") is not None for line in lines)


def test_clf_lines_give_the_same_request_as_httplog(haproxy_lines: Load, parse_haproxy: Parse) -> None:
    clf = {
        line.case.partition("@")[0]: line.body
        for line in haproxy_lines("raw-udp")
        if line.case.endswith("@fe_clf")
    }
    for case, line in clf.items():
        record = parse_haproxy(line)
        assert record.frontend == "fe_clf"
        if case == "redispatch":
            assert (record.retries, record.redispatched, record.server) == (1, True, "good")
        if case == "deny_403":
            assert (record.status, record.termination, record.server) == (403, "PR--", None)
        if case == "http_200":
            assert (record.path, record.query, record.client_port) == ("/ok", "x=1&y=a%20b", 37388)
            assert record.start_us == 1_795_458_939_000_000  # CLF has whole seconds


def test_events_say_whom_they_are_about(haproxy_lines: Load, parse_haproxy: Parse) -> None:
    events = [
        record
        for line in haproxy_lines("rfc5424-udp")
        if isinstance(record := parse_haproxy(line.body), EdgeEvent)
    ]
    told = Counter((event.kind, event.proxy, event.server) for event in events)
    assert told["server_state", "be_check", "c2"] == 2
    assert told["health_check", "be_check", "c1"] == 5
    assert told["no_server", "be_agent", None] == 1
    assert told["proxy_state", "fe_dontlognull", None] == 3
    assert told["proxy_state", "<HTTPCLIENT>", None] == 1
    assert told["connection_error", "fe_mtls", None] == 2
    assert all(event.time_us and event.severity is not None for event in events)
    sessions = [event for event in events if event.kind == "tcp_session"]
    assert {event.client_ip for event in sessions} == {"127.0.0.1"}
    assert {event.proxy for event in sessions} == {"fe_tcp", "fe_tcp_asap", "fe_tcp_dln"}


def test_a_notice_of_dropped_lines_says_how_many(parse_haproxy: Parse) -> None:
    event = parse_haproxy(
        b"<133>1 2026-11-23T18:35:39.610519+00:00 - haproxy 28764 - - 1172 events dropped\x00\n"
    )
    assert (event.kind, event.count, event.severity, event.pid) == ("events_dropped", 1172, 5, 28764)
    assert event.text == "1172 events dropped"


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


@pytest.mark.parametrize("before", [b"x ", b""])
def test_a_client_cannot_begin_a_record_of_its_own(before: bytes, redactor: Redactor) -> None:
    """A line of another format that a client's text begins is not taken for the recommended line."""
    own = b'{"v":"hap-req/1","id":"made-up","node":"n","acc":"1795458940.099"}'
    parser = HaproxyParser(redactor=redactor, log_format="%[capture.req.hdr(0)] %ci:%cp [%tr] %ST %ID")
    line = (
        b"<134>Nov 23 18:35:39 h haproxy[1]: "
        + before
        + own
        + b" 192.0.2.9:1 [23/Nov/2026:18:35:39.609] 200 true-id"
    )
    record = parser.parse(line, offset=1, arrival_ns=0, peer="")
    assert isinstance(record, EdgeRecord)
    assert (record.request_id, record.client_ip) == ("true-id", "192.0.2.9")


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


def test_a_json_line_that_was_cut_is_read_as_far_as_it_goes(
    haproxy_lines: Load, parse_haproxy: Parse
) -> None:
    line = next(line.body for line in haproxy_lines("rfc5424-udp") if b'{"v":"hap-req' in line.body)
    whole = parse_haproxy(line)
    for cut in range(line.index(b'"end_us"'), len(line) - 3, 7):
        record = parse_haproxy(line[:cut])
        assert flag.TRUNCATED in record.flags
        assert (record.request_id, record.start_us // 10**6) == (whole.request_id, whole.start_us // 10**6)
    with pytest.raises(MalformedLine) as caught:
        parse_haproxy(line[: line.index(b'"acc"')])
    assert caught.value.reason == "no_date"


def test_latin_1_and_control_characters_are_kept_visible_and_flagged(parse_haproxy: Parse) -> None:
    record = parse_haproxy(
        b'<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - - {"v":"hap-req/1","id":"a","node":"n",'
        b'"acc":"1795458940.099","path":"/caf\xe9\\u0001","ua":"-"}'
    )
    assert record.path == "/caf\\xe9\x01"
    assert set(record.flags) == {flag.NOT_UTF8, flag.CONTROL_CHARS}


def test_numbers_that_no_column_holds_are_unknown(parse_haproxy: Parse) -> None:
    record = parse_haproxy(
        b'{"v":"hap-req/1","id":"a","node":"n","acc":"1795458940.099","pid":99999999999999999999,"st":70000,'
        b'"cp":"123456","lc":-5,"B":"184467440737095516160","Tr":1e300}'
    )
    assert (record.pid, record.status, record.client_port, record.log_counter, record.response_bytes) == (
        None,
    ) * 5
    assert flag.ODD_TYPES in record.flags


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "empty"),
        (b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - - ", "empty"),
        (b'{"v":"hap-req/1"', "not_json"),
        (b'{"v":"hap-req/1","id":"x"}', "no_date"),
        (b'{"v":"hap-req/9","id":"x"}', "unknown_version"),
        (b'{"status":200}', "unknown_json"),
        (b"{nonsense", "not_json"),
        (b"GET / HTTP/1.1", "not_a_log_line"),
        (b"\xff\xfe\x00", "not_a_log_line"),
        (b"x" * 200_000, "too_large"),
    ],
)
def test_what_haproxy_does_not_write_says_why(line: bytes, reason: str, parse_haproxy: Parse) -> None:
    with pytest.raises(MalformedLine) as caught:
        parse_haproxy(line)
    assert caught.value.reason == reason


def test_a_date_without_zone_is_read_in_the_configured_one(redactor: Redactor) -> None:
    line = b'127.0.0.1:1 [01/Jul/2026:12:00:00.000] fe be/s 0/0/0/0/7 200 85 - - ---- 1/1/0/0/2 0/0 "GET / HTTP/1.1"'
    utc = HaproxyParser(redactor=redactor).parse(line, offset=1, arrival_ns=0, peer="")
    berlin = HaproxyParser(redactor=redactor, time_zone="Europe/Berlin").parse(
        line, offset=1, arrival_ns=0, peer=""
    )
    assert isinstance(utc, EdgeRecord)
    assert isinstance(berlin, EdgeRecord)
    assert utc.start_us - berlin.start_us == 2 * 3600 * 10**6
    assert utc.rec_id == berlin.rec_id  # identity is of what was written, not of how it is read


def test_a_wrong_zone_is_noticed_and_named_and_changes_nothing(redactor: Redactor) -> None:
    parser = HaproxyParser(redactor=redactor)
    line = (
        b"<134>1 2026-07-01T14:00:01.500000+02:00 h haproxy 7 - - 127.0.0.1:1 [01/Jul/2026:14:00:00.000] fe be/s "
        b'0/0/0/0/1500 200 85 - - ---- 1/1/0/0/2 0/0 "GET / HTTP/1.1"'
    )
    record = parser.parse(line, offset=1, arrival_ns=0, peer="")
    assert isinstance(record, EdgeRecord)
    assert record.start_us == 1_782_914_400_000_000  # 14:00 UTC, as configured
    (warning,) = parser.warnings
    assert "UTC+02:00" in warning
    assert "Etc/GMT-2" in warning
    assert "sources.syslog.time_zone" in warning


def test_names_without_a_format_to_name_are_refused(redactor: Redactor) -> None:
    with pytest.raises(ConfigError, match="names are given"):
        HaproxyParser(redactor=redactor, names={"var(txn.x)": "kong_rid"})
