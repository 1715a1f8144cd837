"""A parser with a configuration's formats reads its lines, and knows more than one without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.haproxy_config import line_formats, read_haproxy_config
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeEvent, EdgeRecord


@pytest.fixture
def lab(captures: Path, redactor: Redactor) -> HaproxyParser:
    text = (captures / "haproxy" / "capture-lab.cfg").read_text("utf-8")
    return HaproxyParser(redactor=redactor, formats=line_formats(read_haproxy_config(text, {})))


def parse(parser: HaproxyParser, body: bytes) -> Any:
    return parser.parse(body, offset=1, arrival_ns=0, peer="")


@pytest.mark.parametrize("name", ["raw-udp", "rfc5424-udp", "rfc3164-udp"])
def test_captured_lines_are_the_same_kinds_with_their_configuration(
    name: str, lab: HaproxyParser, haproxy: HaproxyParser, haproxy_lines: Callable[[str], list[Any]]
) -> None:
    for line in haproxy_lines(name):
        with_formats, without = parse(lab, line.body), parse(haproxy, line.body)
        assert type(with_formats) is type(without), line
        if isinstance(without, EdgeEvent):
            assert with_formats.kind == without.kind
            continue
        if not line.case.endswith("@fe_sd"):  # there the configuration knows of an id
            assert with_formats.rec_id == without.rec_id
        for field in (
            "start_us",
            "status",
            "path",
            "query",
            "timers",
            "backend",
            "server",
            "termination",
        ):
            assert getattr(with_formats, field) == getattr(without, field), (field, line)


def test_captures_and_structured_data_are_named(
    lab: HaproxyParser, haproxy_lines: Callable[[str], list[Any]]
) -> None:
    records = {line.case: parse(lab, line.body) for line in haproxy_lines("rfc5424-udp")}
    assert records["http_200@fe_cap"].host == "api.example.test"
    assert records["http_200@fe_cap"].user_agent is None
    structured = records["rfc5424_sd@fe_sd"]
    assert len(structured.request_id) == 36
    assert structured.path == "/ok"
    assert records["tls_err_plain@fe_errfmt"].kind == "connection_error"
    lines = [parse(lab, line.body) for line in haproxy_lines("rfc5424-udp")]
    ids = Counter(bool(record.request_id) for record in lines if isinstance(record, EdgeRecord))
    assert ids[True] == 67  # 60 of JSON, 5 of fe_uid, 2 of fe_sd


def test_two_frontends_of_one_shape_are_told_apart_by_their_names(redactor: Redactor) -> None:
    text = """
defaults
    mode http
    log stdout local0
frontend one
    log-format "%f %ci %ST %[var(txn.a)] %tr"
    http-response set-var(txn.a) res.hdr(x-kong-request-id)
frontend two
    log-format "%f %ci %ST %[var(txn.a)] %tr"
    http-request set-var(txn.a) req.hdr(user-agent)
"""
    parser = HaproxyParser(redactor=redactor, formats=line_formats(read_haproxy_config(text, {})))
    date = b"23/Nov/2026:18:57:23.518"
    for _ in range(2):
        one = parse(parser, b"one 192.0.2.1 200 abc " + date)
        two = parse(parser, b"two 192.0.2.1 200 abc " + date)
        assert (one.gateway_request_id, one.user_agent) == ("abc", None)
        assert (two.gateway_request_id, two.user_agent) == (None, "abc")


def test_a_format_that_cannot_be_read_names_its_frontend() -> None:
    with pytest.raises(ConfigError, match=r"frontend bad: log_format: HAProxy has no %zz"):
        line_formats(read_haproxy_config("frontend bad\n log-format %zz", {}))
