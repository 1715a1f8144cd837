"""Secrets are planted wherever a client could put one; nothing that leaves this room may hold one."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
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

_SPEC = importlib.util.spec_from_file_location(
    "planted_secrets", Path(__file__).parents[1] / "planted_secrets.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
planted = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(planted)
entry, json_line, found_in = planted.entry, planted.json_line, planted.found_in
HAPROXY_BODIES, KONG_BODIES = list(planted.haproxy_bodies()), list(planted.kong_bodies())

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


@pytest.mark.parametrize("index", range(len(HAPROXY_BODIES)))
def test_no_secret_of_a_line_leaves(index: int, parsers: dict[Source, Any], redactor: Redactor) -> None:
    body = HAPROXY_BODIES[index]
    text = left(Source.HAPROXY, body, parsers, redactor)
    assert not found_in(text), text


@pytest.mark.parametrize("index", range(len(KONG_BODIES)))
def test_no_secret_of_an_entry_leaves(index: int, parsers: dict[Source, Any], redactor: Redactor) -> None:
    body = KONG_BODIES[index]
    text = left(Source.KONG, body, parsers, redactor)
    assert not found_in(text), text
    for part in [] if body[:1] != b"[" else split_body(body):
        assert not found_in(left(Source.KONG, part, parsers, redactor))


def test_nothing_is_logged_of_what_is_read(
    parsers: dict[Source, Any], redactor: Redactor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for body in (*HAPROXY_BODIES, *KONG_BODIES):
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


def test_a_gateway_id_that_looks_like_a_secret_still_joins_both_sides(parsers: dict[Source, Any]) -> None:
    request = {**entry()["request"], "id": planted.JWT}
    edge = parsers[Source.HAPROXY].parse(json_line(kong_rid=planted.JWT), offset=1, arrival_ns=1, peer="")
    body = json.dumps(entry(request=request)).encode()
    gateway = parsers[Source.KONG].parse(body, offset=1, arrival_ns=1, peer="")
    assert edge.gateway_request_id == gateway.gateway_request_id
    assert not found_in(gateway.gateway_request_id)
