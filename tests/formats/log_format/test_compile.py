"""A generated format, lines printed of it as HAProxy prints them, and the values read back."""

from __future__ import annotations

import json
import re
import string
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.formats.log_format import BUILT_IN, Captures, compile_format
from pipeline.formats.log_format.items import ALIASES
from pipeline.formats.request_line import unescape

# What follows is written from HAProxy's manual (8.2.6, 8.6) and captures, and knows nothing of the compiler.

_URL = {chr(code): f"#{code:02X}" for code in (*range(32), 34, 35, *range(127, 256))}
_HEADER = _URL | {char: f"#{ord(char):02X}" for char in "{|}"}
_NAMES = string.ascii_letters + string.digits + "_.-"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def url_encoded(value: str) -> str:
    return "".join(_URL.get(char, char) for char in value)


def header_encoded(value: str) -> str:
    return "".join(_HEADER.get(char, char) for char in value)


def json_encoded(value: str) -> str:
    r"""As `json(utf8s)`: quotes, backslashes and slashes escaped, the rest of ASCII or `\uXXXX`."""
    return json.dumps(value)[1:-1].replace("/", "\\/")


@dataclass(frozen=True)
class Printed:
    """An item of a format, the value HAProxy had, what it writes, and what a reader should give."""

    item: str
    written: str
    key: str
    expected: str | None


clock = st.builds(
    lambda d, m, y, h, mi, s: f"{d:02d}/{_MONTHS[m]}/{y}:{h:02d}:{mi:02d}:{s:02d}",
    st.integers(1, 28), st.integers(0, 11), st.integers(1990, 2090), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59),
)  # fmt: skip
names = st.text(_NAMES, min_size=1, max_size=12)
counts = st.integers(-1, 10**9).map(str)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
latin = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=12)
words = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"'), min_size=1, max_size=12
)


def plain(alias: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[Printed]:
    return values.map(lambda value: Printed(f"%{alias}", value, alias, value))


def quotable(alias: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[Printed]:
    return st.builds(
        lambda value, quoted: Printed(
            f"%{{+Q}}{alias}" if quoted else f"%{alias}", f'"{value}"' if quoted else value or "-", alias, value if quoted else value or "-"
        ),
        values, st.booleans(),
    )  # fmt: skip


def hexadecimal(alias: str) -> st.SearchStrategy[Printed]:
    return st.integers(0, 2**31).map(
        lambda value: Printed(f"%{{+X}}{alias}", f"{value:04X}", alias, str(value))
    )


def captured(alias: str) -> st.SearchStrategy[Printed]:
    def show(parts: list[str] | None) -> Printed:
        text = None if parts is None else "{" + "|".join(map(header_encoded, parts)) + "}"
        return Printed(f"%{alias}", text or "", alias, text)

    return st.none().map(show) | st.lists(latin, min_size=1, max_size=3).map(show)


items = st.one_of(
    *(plain(alias, counts) for alias in ("TR", "Tw", "Tc", "Tr", "Td", "Ti", "Th", "ST", "U", "sq", "ac", "pid")),
    *(plain(alias, st.builds(str.__add__, st.sampled_from(["", "+"]), st.integers(0, 10**9).map(str))) for alias in ("B", "Ta", "Tt", "rc")),
    *(quotable(alias, names) for alias in ("b", "s", "f", "H", "ID")),
    plain("ft", st.builds(str.__add__, names, st.sampled_from(["", "~"]))),
    *(quotable(alias, addresses) for alias in ("ci", "fi", "si", "bi")),
    *(plain(alias, st.integers(1, 65535).map(str) | st.just("-")) for alias in ("cp", "sp")),
    *(plain(alias, st.builds(lambda c, ms: f"{c}.{ms:03d}", clock, st.integers(0, 999))) for alias in ("t", "tr")),
    *(plain(alias, clock.map(lambda c: f"{c} +0100")) for alias in ("T", "trg", "Tl")),
    plain("ms", st.integers(0, 999).map(lambda ms: f"{ms:03d}")),
    plain("tsc", st.sampled_from(["----", "PR--", "SH--", "--NI", "cD--", "sQVN"])),
    plain("ts", st.sampled_from(["--", "cD", "SC"])),
    plain("OG", st.sampled_from(["txn_close", "sess_error", "unspec"])),
    hexadecimal("rt"), hexadecimal("lc"), hexadecimal("pid"),
    latin.map(lambda v: Printed("%HQ", url_encoded(v and f"?{v}").replace(" ", ""), "HQ", url_encoded(f"?{v}").replace(" ", "") if v else None)),
    latin.filter(lambda value: value and " " not in value).map(lambda v: Printed("%HU", url_encoded(v), "HU", url_encoded(v))),
    latin.map(lambda v: Printed("%{+Q}r", f'"G{url_encoded(v)}"', "r", f"G{url_encoded(v)}")),
    captured("hr"), captured("hs"),
    latin.map(lambda v: Printed('"%[capture.req.hdr(9),json(utf8s)]"', f'"{json_encoded(v)}"', "%[capture.req.hdr(9),json(utf8s)]", v)),
    words.map(lambda v: Printed("%[var(txn.free)]", v, "%[var(txn.free)]", v)),
    st.integers(0, 2**40).map(lambda v: Printed("%[date(0,us)]", str(v), "end_us", str(v))),
    st.text("0123456789ABCDEF", min_size=2, max_size=16).map(lambda v: Printed("%[ssl_fc_err,hex]", v, "%[ssl_fc_err,hex]", v)),
)  # fmt: skip

separators = st.sampled_from([" ", "/", " [", "] ", ":", ", ", " - ", "=", '" "', "|", " 100%% "])


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, str, dict[str, str | None]]:
    """Give a format, a line of it, and its values; separators merge as HAProxy merges them."""
    chosen: list[Printed] = draw(st.lists(items, min_size=2, max_size=9, unique_by=lambda item: item.key))
    text, line = "", ""
    for index, item in enumerate(chosen):
        if index:
            separator = draw(separators)
            text += separator
            shown = separator.replace("%%", "%")
            line += shown.lstrip(" ") if line[-1:] in {"", " "} else shown
        text += item.item
        line += item.written
    return text, line, {item.key: item.expected for item in chosen}


@settings(max_examples=600, deadline=None)
@given(lines())
def test_what_haproxy_prints_is_read_back_where_it_can_be_read_in_one_way(
    printed: tuple[str, str, dict[str, str | None]],
) -> None:
    text, line, expected = printed
    compiled = compile_format(text)
    if compiled.ambiguous():
        return
    flags: set[str] = set()
    assert compiled.read(line, flags) == expected, (text, line)
    assert not flags


@settings(max_examples=300, deadline=None)
@given(lines())
def test_an_ambiguous_format_still_reads_its_lines(printed: tuple[str, str, dict[str, str | None]]) -> None:
    """It may cut them in the wrong place, but a line of it is never of another format."""
    text, line, expected = printed
    values = compile_format(text).read(line)
    assert values is not None, (text, line)
    assert values.keys() == expected.keys()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(items, min_size=1, max_size=8, unique_by=lambda item: item.key).filter(
        lambda chosen: all(item.key not in {"hr", "hs"} for item in chosen)
    ),
    st.booleans(),
)
def test_hand_written_json_is_read_back_nested_or_not(chosen: list[Printed], nested: bool) -> None:
    members = []
    shown = []
    for index, item in enumerate(chosen):
        bare = item.item.strip('"').replace("{+Q}", "")
        written = item.written[1:-1] if item.written.startswith('"') else item.written
        if "\\" in written and "json(" not in bare:
            written = written.replace("\\", "")  # what breaks JSON is tested for itself
        members.append(f'"k{index}":"{bare}"')
        shown.append(f'"k{index}":"{written}"')
    body, line = ",".join(members), ",".join(shown)
    text, line = (
        (f'{{"a":{{"b":[{{{body}}}]}}}}', f'{{"a":{{"b":[{{{line}}}]}}}}')
        if nested
        else (f"{{{body}}}", f"{{{line}}}")
    )
    values = compile_format(text).read(line)
    assert values is not None
    for item in chosen:
        if "\\" not in item.written or "json(" in item.item:
            assert (values.get(item.key) or "-") == (item.expected or "-")


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
