"""How an entry is written."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pipeline.demo.declared import Declared
from pipeline.demo.kong_entry import Served, Try, entry_bytes, querystring

ORDER = random.Random(1)


@pytest.mark.parametrize("case", ["query_odd", "query_escaped_binary", "open_200", "noroute_404"])
def test_arguments_are_read_as_kong_reads_them(captures: Path, case: str) -> None:
    request = json.loads(json.loads((captures / f"{case}.jsonl").read_text().splitlines()[0])["body"])[
        "request"
    ]
    ours = querystring(request["uri"].partition("?")[2])
    assert ours == request["querystring"]


def served(**changes: object) -> Served:
    plain = Served(
        gateway_id="0" * 32,
        started_us=1_795_459_370_884_123,
        method="GET",
        uri="/catalog/x",
        headers=[("host", "Api.Example.com:8080")],
        request_size=80,
        client_ip="203.0.113.9",
        port=8000,
    )
    for name, value in changes.items():
        setattr(plain, name, value)
    return plain


def test_nanoseconds_have_fourteen_digits_as_in_lua(declared: Declared) -> None:
    route = declared.route("catalog")
    made = Try("127.0.0.1", 19001, 1_795_459_370_884_923, 16_128)
    raw = entry_bytes(served(route=route, tries=[made]), declared, ORDER)
    assert b'"balancer_start_ns":1.7954593708849e+18' in raw


def test_bytes_that_are_not_utf8_leave_as_they_came(declared: Declared) -> None:
    headers = [("host", "h"), ("x-name", b"J\xf6rg".decode("utf-8", "surrogateescape"))]
    assert b'"J\xf6rg"' in entry_bytes(served(headers=headers), declared, ORDER)


def test_repeated_headers_are_a_list_and_authorization_is_redacted(declared: Declared) -> None:
    headers = [("x-a", "1"), ("authorization", "Bearer abc"), ("x-a", "2"), ("x-a", "3")]
    raw = entry_bytes(served(headers=headers), declared, ORDER)
    assert json.loads(raw)["request"]["headers"] == {"x-a": ["1", "2", "3"], "authorization": "REDACTED"}
    assert b"abc" not in raw


def test_the_url_has_the_lower_case_host_and_kongs_own_port(declared: Declared) -> None:
    entry = json.loads(entry_bytes(served(), declared, ORDER))
    assert entry["request"]["url"] == "http://api.example.com:8000/catalog/x"


def test_a_request_without_a_route_has_neither_tries_nor_service(declared: Declared) -> None:
    entry = json.loads(entry_bytes(served(), declared, ORDER))
    assert {"tries", "service", "route", "correlation_id"}.isdisjoint(entry)
