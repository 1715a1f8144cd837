from __future__ import annotations

import pytest

from pipeline.formats.request_line import Target, http_version, parse_request_line, split_target, unescape


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /a?b=c HTTP/1.1", ("GET", None, None, "/a", "b=c", "1.1", True)),
        ("GET https://u:p@h:8443/a?b HTTP/2.0", ("GET", "https", "h:8443", "/a", "b", "2", True)),
        ("GET http://h HTTP/1.1", ("GET", "http", "h", "/", None, "1.1", True)),
        ("GET http://h?q=1 HTTP/1.1", ("GET", "http", "h", "/", "q=1", "1.1", True)),
        ("OPTIONS * HTTP/1.1", ("OPTIONS", None, None, "*", None, "1.1", True)),
        ("CONNECT h:443 HTTP/1.1", ("CONNECT", None, None, "h:443", None, "1.1", True)),
        ("GET /cut", ("GET", None, None, "/cut", None, None, False)),
        ("BREW /a#22b HTTP/1.0", ("BREW", None, None, '/a"b', None, "1.0", True)),
        ("G#22E /a HTTP/1.1", (None, None, None, "/a", None, "1.1", True)),
        ("GET /caf#C3#A9/#FF HTTP/3.0", ("GET", None, None, "/café/\\xff", None, "3", True)),
        ("", (None, None, None, None, None, None, False)),
    ],
)
def test_request_lines_are_split(line: str, expected: tuple[object, ...]) -> None:
    assert tuple(parse_request_line(line)) == expected


def test_a_fragment_is_cut() -> None:
    assert split_target("/a#b?c") == Target(None, None, "/a", None)
    assert split_target("/a?b#token=c") == Target(None, None, "/a", "b")


def test_escapes_are_undone_and_text_that_haproxy_does_not_write_stays() -> None:
    assert unescape("a#22b#23") == 'a"b#'
    assert unescape("a#zz#2") == "a#zz#2"
    assert unescape("€#22") == '€"'


@pytest.mark.parametrize(
    ("text", "version"), [("2", "2"), ("1.1", "1.1"), ("1", "1.1"), ("3.0", "3"), ("-", None), ("9", None)]
)
def test_versions_have_one_name(text: str, version: str | None) -> None:
    assert http_version(text) == version
