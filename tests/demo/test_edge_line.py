"""Lines written from the log-format of `deploy/haproxy/haproxy.cfg`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.demo.edge_line import EdgeFacts, EdgeLines, json_utf8s
from pipeline.errors import ConfigError
from pipeline.resources import resource

CONFIG = resource("deploy/haproxy/haproxy.cfg")


def facts(**changes: object) -> EdgeFacts:
    plain = EdgeFacts(
        request_id="2d622156-0e6c-4deb-9ff5-1d5d6ff82370",
        traceparent="00-f9fcc8e6d55c4480bd7879fafc628a21-974eb44884c8e3c2-01",
        pid=8676,
        request_counter=3,
        log_counter=2,
        node="edge-1",
        accepted_us=1_795_552_124_007_999,
        headers_us=1_795_552_124_013_555,
        end_us=1_795_552_124_014_285,
    )
    for name, value in changes.items():
        setattr(plain, name, value)
    return plain


def test_every_key_of_the_configuration_is_written_and_milliseconds_are_padded() -> None:
    line = json.loads(EdgeLines(CONFIG, "edge-1").message(facts()))
    assert line["v"] == "hap-req/1"
    assert line["acc"] == "1795552124.007"
    assert (line["ua"], line["q"], line["kong_rid"]) == ("-", "-", "-")
    assert line["end"] == 1


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_client_sends_the_line_is_valid_json_of_one_line(path: str, agent: str) -> None:
    message = EdgeLines(CONFIG, "edge-1").message(facts(path=path, user_agent=agent))
    assert message.isascii()
    assert "\n" not in message
    kept = "".join(character for character in path if ord(character) <= 0xFFFF)
    assert json.loads(message)["path"] == (kept if path else "-")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('a"b', 'a\\"b'),
        ("a\\b/c", "a\\\\b\\/c"),
        ("\t\n\x01\x7f", "\\t\\n\\u0001\\u007f"),
        ("é", "\\u00e9"),
        ("tea 🍵", "tea "),
        ("\udcff", ""),
    ],
)
def test_text_is_escaped_as_by_json_utf8s(text: str, escaped: str) -> None:
    assert json_utf8s(text) == escaped


def test_the_header_is_rfc_5424_with_microseconds() -> None:
    frame = EdgeLines(CONFIG, "edge-7").frame(facts())
    assert frame.startswith(b"<134>1 2026-11-24T20:28:44.014285+00:00 edge-7 haproxy-edge 8676 - - {")


def test_a_format_with_an_item_that_is_not_known_here_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text('frontend f\n    log-format "%ID %[src,map(x)]"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="src,map"):
        EdgeLines(file, "n")
