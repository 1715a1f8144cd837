"""The recommended JSON line: what its keys say, and what becomes of it when it is odd or cut off."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeRecord, Timers

Parse = Callable[..., Any]
Load = Callable[[str], list[Any]]


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


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rc": "+2"}, {"retries": 2, "redispatched": True}),
        ({"rc": "2", "rdsp": "1"}, {"retries": 2, "redispatched": True}),
        ({"rc": 0, "B": "1534", "U": 412}, {"retries": 0, "response_bytes": 1534, "request_bytes": 412}),
        ({"Ta": "+5", "B": "+80"}, {"response_bytes": 80, "flags": (flag.LOG_ASAP,)}),
        ({"sp": "-", "srv": "<NOSRV>", "si": "-"}, {"server": None, "server_port": None, "server_ip": None}),
        ({"req_us": "-", "tp": "-", "id": "-"}, {"request_start_us": None, "traceparent": None, "request_id": ""}),
        ({"ci": "unix", "cp": "1"}, {"client_ip": None, "client_port": None}),
        ({"st": 0}, {"status": None}),
        ({"acc": "", "acc_us": "1795458940099344"}, {"start_us": 1_795_458_940_099_344}),
        ({"m": "<BADREQ>", "path": "-"}, {"method": None, "path": None}),
        ({"cc": "1", "cv": "0", "dn": "CN=a", "tls": "TLSv1.3"}, {"tls_client_verify": "0", "tls_client_dn": "CN=a", "scheme": "https"}),
        ({"cc": "0", "cv": "0"}, {"tls_client_verify": None, "scheme": "http"}),
        ({"ferr": "34", "ferrs": "SSL handshake failure"}, {"error": "SSL handshake failure"}),
        ({"ferr": "0", "ferrs": "-"}, {"error": None}),
        ({"v": "hap-err/1", "st": 408, "ts": "cR--"}, {"status": 408, "termination": "cR--", "flags": (flag.BAD_REQUEST,)}),
        ({"more": [{"of": "it"}]}, {"flags": ()}),
    ],
)  # fmt: skip
def test_each_key_means_one_thing(
    changes: dict[str, object], expected: dict[str, object], parse_haproxy: Parse
) -> None:
    line = {
        "v": "hap-req/1",
        "id": "a",
        "node": "n",
        "acc": "1795458940.099",
        "rc": "0",
        "path": "/",
        "ua": "-",
        **changes,
    }
    record = parse_haproxy(json.dumps(line).encode())
    assert {name: getattr(record, name) for name in expected} == expected


def test_an_error_without_an_answer_is_an_event(parse_haproxy: Parse) -> None:
    line = {"v": "hap-err/1", "node": "n", "acc": "1795458940.099", "fe": "edge", "ci": "192.0.2.1", "st": 0, "ts": "PR--",
            "ferr": "34", "ferrs": "SSL handshake failure", "serrs": "error:0A00009C:SSL routines::http request"}  # fmt: skip
    event = parse_haproxy(json.dumps(line).encode())
    assert (event.kind, event.proxy, event.client_ip, event.time_us) == (
        "connection_error",
        "edge",
        "192.0.2.1",
        1_795_458_940_099_000,
    )
    assert event.text == "PR-- SSL handshake failure error:0A00009C:SSL routines::http request"
