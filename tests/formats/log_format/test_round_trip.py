"""A generated format, lines printed of it as HAProxy prints them, and the values read back."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.log_format import compile_format

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
