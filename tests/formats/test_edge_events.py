"""Lines that are no requests: whom they are about, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.redact import Policy, Redactor
from pipeline.model import EdgeEvent, EdgeRecord

Parse = Callable[..., Any]
Load = Callable[[str], list[Any]]


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


@pytest.mark.parametrize(
    ("sentence", "kind", "proxy", "server"),
    [
        ("Server be/s is DOWN, reason: Layer4 timeout.", "server_state", "be", "s"),
        ("Backup Server be/s is UP.", "server_state", "be", "s"),
        ("Health check for server be/s failed, reason: x.", "health_check", "be", "s"),
        ("backend be has no server available!", "no_server", "be", None),
        ("Paused frontend fe.", "proxy_state", "fe", None),
        ("Proxy fe stopped (cumulated conns: FE: 7, BE: 0).", "proxy_state", "fe", None),
        ("New worker (12) forked", "process", None, None),
        ("Some sentence of a later release.", "other", None, None),
    ],
)
def test_sentences_of_haproxys_own_are_told_apart(
    sentence: str, kind: str, proxy: str | None, server: str | None, parse_haproxy: Parse
) -> None:
    event = parse_haproxy(f"<129>Nov 23 18:35:39 h haproxy[7]: {sentence}\n".encode())
    assert (event.kind, event.proxy, event.server, event.severity) == (kind, proxy, server, 1)


def test_a_header_without_year_gives_the_time_nearest_to_the_arrival(parse_haproxy: Parse) -> None:
    event = parse_haproxy(
        b"<129>Dec 31 23:59:59 h haproxy[7]: Paused frontend fe.", arrival_ns=1_798_761_600_000_000_000
    )
    assert event.time_us == 1_798_761_599_000_000  # New Year's Eve of 2026, read on New Year's Day


def test_an_address_is_hidden_in_the_text_as_well() -> None:
    parser = HaproxyParser(redactor=Redactor(b"k" * 32, Policy(pseudonyms=frozenset({"client_ip"}))))
    line = b"198.51.100.7:1 [23/Nov/2026:18:36:53.268] fe/1: SSL handshake failure"
    event = parser.parse(line, offset=1, arrival_ns=0, peer="")
    assert isinstance(event, EdgeEvent)
    assert "198.51.100.7" not in f"{event}"
    assert event.client_ip
    assert event.client_ip in event.text


def test_a_session_names_node_process_and_counter_as_a_request_of_its_frontend_does(
    redactor: Redactor,
) -> None:
    """HAProxy counts all lines of a frontend with one counter: under another name one would be missed."""
    lead, names = "192.0.2.7:4711 [24/Nov/2026:10:00:00.000] public~ be/s1", "%H %pid %lc"
    request = parse_as(f"%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc {names}", redactor)(
        f"{lead} 0/0/0/1/1 200 85 ---- edge-1 77 12"
    )
    session = parse_as(f"%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts {names}", redactor)(
        f"{lead} 1/0/2001 0 cD edge-1 77 13"
    )
    assert isinstance(request, EdgeRecord)
    assert isinstance(session, EdgeEvent)
    assert (request.node, request.pid, request.frontend, request.log_counter) == ("edge-1", 77, "public", 12)
    assert (session.node, session.pid, session.proxy, session.log_counter) == ("edge-1", 77, "public", 13)


def parse_as(log_format: str, redactor: Redactor) -> Callable[[str], EdgeEvent | EdgeRecord]:
    """Give what reads a line of a format."""
    parser = HaproxyParser(redactor=redactor, log_format=log_format, time_zone="UTC")
    return lambda line: parser.parse(line.encode(), offset=0, arrival_ns=0, peer="127.0.0.1")
