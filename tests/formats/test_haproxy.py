"""Every captured line of HAProxy, in every envelope, against what the line itself says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import ConfigError, MalformedLine
from pipeline.formats.framing import StreamFramer
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeEvent, EdgeRecord

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
