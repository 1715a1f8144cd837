"""What a format is compiled to; `test_round_trip.py` generates formats, `test_against_haproxy.py` asks HAProxy."""

from __future__ import annotations

import re

import pytest

from pipeline.errors import ConfigError
from pipeline.formats.log_format import BUILT_IN, Captures, compile_format
from pipeline.formats.log_format.items import ALIASES
from pipeline.formats.request_line import unescape


def test_every_alias_of_every_release_compiles() -> None:
    for alias in ALIASES:
        compiled = compile_format(f"[%{{+Q,+X,+E}}{alias}]")
        assert compiled.keys == (alias,)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_names_are_what_haproxys_own_strings_are(name: str) -> None:
    assert compile_format(name).keys == compile_format(BUILT_IN[name]).keys
    assert compile_format(name).is_session is (name.startswith("tcp") or name == "error")


def test_a_format_is_taken_out_of_a_configuration_line() -> None:
    expected = "%ci:%cp [%tr] %{+Q}r"
    for text in (
        expected,
        r"%ci:%cp\ [%tr]\ %{+Q}r",
        '"%ci:%cp [%tr] %{+Q}r"',
        "'%ci:%cp [%tr] %{+Q}r'",
        r"log-format %ci:%cp\ [%tr]\ %{+Q}r",
        'log-format "%ci:%cp [%tr] %{+Q}r"  # said',
    ):
        assert compile_format(text).text == expected


def test_flags_of_o_hold_for_all_that_follows() -> None:
    compiled = compile_format("%{+Q}o %ci %{-Q}b %f %ST")
    assert compiled.read('"192.0.2.1" be "fe" 200') == {"ci": "192.0.2.1", "b": "be", "f": "fe", "ST": "200"}


def test_escapes_of_structured_data_are_undone() -> None:
    compiled = compile_format('%{+Q,+E}o [req@32473 uid=%ID evil=%[var(txn.x)] status="%ST"]')
    line = r'[req@32473 uid="ab" evil="a\"b\\c\]d" status="200"]'
    assert compiled.read(line) == {"ID": "ab", "%[var(txn.x)]": 'a"b\\c]d', "ST": "200"}


def test_expressions_are_named_by_the_operator() -> None:
    text = "%ci %[var(txn.a)] %[var(txn.b)] %(third)[var(txn.c)] %[capture.req.hdr(0)]"
    compiled = compile_format(
        text,
        names={"var(txn.a)": "kong_rid", "#2": "user_agent", "third": "host", "capture.req.hdr(0)": "ID"},
    )
    assert compiled.keys == ("ci", "kong_rid", "user_agent", "host", "ID")
    assert compiled.read("192.0.2.1 k u h i") == {
        "ci": "192.0.2.1",
        "kong_rid": "k",
        "user_agent": "u",
        "host": "h",
        "ID": "i",
    }
    with pytest.raises(ConfigError, match="no value is called 'kong-rid'"):
        compile_format(text, names={"#1": "kong-rid"})


def test_slots_are_what_was_captured_into_them() -> None:
    captures = Captures(("req.fhdr(user-agent)", "req.hdr(x-request-id)"), ("res.fhdr(x-kong-request-id)",))
    expressions = compile_format(
        '%ci "%[capture.req.hdr(0),json(utf8s)]" %[capture.res.hdr(0)]', captures=captures
    )
    assert expressions.keys == ("ci", "user_agent", "kong_rid")
    braces = compile_format("%ci %hr %hs", captures=captures)
    assert braces.read("192.0.2.1 {a#22b|mine} {k}") == {
        "ci": "192.0.2.1", "hr": "{a#22b|mine}", "hs": "{k}", "user_agent": 'a"b', "claimed_request_id": "mine", "kong_rid": "k",
    }  # fmt: skip


def test_the_json_of_3_0_gives_what_has_a_name() -> None:
    compiled = compile_format(
        "%{+json}o %(ip)ci %(n:str)cp %(st)ST %(ms)ms %(kong_rid)[capture.res.hdr(0)] %tsc %(r)r"
    )
    assert compiled.encoding == "json"
    assert compiled.unnamed == ("%tsc",)
    line = '{"ip": "192.0.2.1", "n": "77", "st": 200, "ms": 7, "kong_rid": null, "r": "GET /a\\\\b HTTP/1.1"}'
    assert compiled.read(line) == {
        "ci": "192.0.2.1",
        "cp": "77",
        "ST": "200",
        "ms": "007",
        "r": "GET /a\\b HTTP/1.1",
    }
    broken = line.replace("/a", "/\x01\n")
    assert (compiled.read(broken) or {})["r"] == "GET /\x01\n\\b HTTP/1.1"


def test_values_within_one_string_are_taken_apart() -> None:
    compiled = compile_format('{"at":"%Ts.%ms","client":"%ci:%cp","n":%ST}')
    assert compiled.read('{"at":"1795460243.007","client":"2001:db8::1:443","n":200}') == {
        "Ts": "1795460243", "ms": "007", "ci": "2001:db8::1", "cp": "443", "ST": "200",
    }  # fmt: skip


def test_a_line_that_should_be_json_and_is_not_is_read_as_text() -> None:
    compiled = compile_format('{"ci":"%ci","r":"%r","st":%ST}')
    flags: set[str] = set()
    values = compiled.read('{"ci":"192.0.2.1","r":"GET /a\\x HTTP/1.1","st":200}', flags)
    assert values == {"ci": "192.0.2.1", "r": "GET /a\\x HTTP/1.1", "ST": "200"}
    assert flags == {"not_json"}


def test_a_cut_line_gives_what_is_whole() -> None:
    compiled = compile_format('{"ci":"%ci","tr":"%tr","a":{"st":%ST,"r":"%[capture.req.uri,json(utf8s)]"}}')
    line = '{"ci":"192.0.2.1","tr":"23/Nov/2026:18:57:23.518","a":{"st":200,"r":"\\/long'
    flags: set[str] = set()
    assert compiled.read(line, flags) == {"ci": "192.0.2.1", "tr": "23/Nov/2026:18:57:23.518", "ST": "200"}
    assert flags == {"truncated"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("%{+cbor}o %(a)ci", "CBOR|cbor"),
        ("%{+json}o %ci", "only items that have a name"),
        ("%zz", "HAProxy has no %zz"),
        ("%[var(txn.a)", "is not closed"),
        ("% ci", "neither %alias nor"),
        ("no items", "neither a built-in name"),
        ("", "neither a built-in name"),
        ('{"a":%ci,}', "not: "),
        ("log-format %ci %cp", "spaces must be escaped"),
    ],
)
def test_what_haproxy_or_a_reader_cannot_use_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        compile_format(text)


def test_the_default_string_of_httplog_reads_captured_lines() -> None:
    compiled = compile_format("httplog")
    line = (
        '127.0.0.1:43694 [23/Nov/2026:18:36:43.837] fe_cap be_ok/s1 0/0/0/0/0 200 117 APPSID=old"|{1} APPSID=abc{1|2} '
        '---- 1/1/0/0/+2 0/0 {api.example.test||} {lab-s1|1} "GET /cookie HTTP/1.1"'
    )
    values = compiled.read(line) or {}
    assert (values["CC"], values["CS"], values["rc"]) == ('APPSID=old"|{1}', "APPSID=abc{1|2}", "+2")
    assert re.fullmatch(r"GET /cookie HTTP/1\.1", unescape(values["r"] or ""))
