from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.redact import Redactor

REDACTOR = Redactor(b"k" * 32)


@pytest.mark.parametrize(
    "line",
    [
        'Server be/s is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 1ms. 0 active left.',
        "backend be_down has no server available!",
        "192.0.2.9:1 [23/Nov/2026:18:35:39.609] fe_https/1: SSL handshake failure (error:0A00009C:SSL routines::http request)",
        "Proxy <HTTPCLIENT> stopped (cumulated conns: FE: 0, BE: 0).",
    ],
)
def test_what_haproxy_wrote_itself_is_kept(line: str) -> None:
    assert REDACTOR.text(line.encode(), is_ours=True) == line


def test_of_a_foreign_line_numbers_dates_and_words_are_kept() -> None:
    line = "2026-11-23T18:35:39Z GET /orders/list 200 15 192.0.2.9 some words HTTP/1.1 be_ok/s1"
    assert REDACTOR.text(line.encode()) == line


def test_of_json_what_its_writers_wrote_is_kept() -> None:
    body = '{"request":{"id":"abc","method":"GET","uri":"/a?page=1"},"response":{"status":502},"started_at":1795460245226}'
    assert REDACTOR.text(body.encode()) == body


def test_of_json_what_a_client_wrote_is_not() -> None:
    text = REDACTOR.text(
        b'{"request":{"headers":{"x-made-up":"said","host":"a b@c"},"querystring":{"said":true}},"own":"field","n":1234567}'
    )
    assert "said" not in text
    assert "a b@c" not in text
    assert '"own":"~' in text
    assert "1234567" not in text


def test_the_last_value_of_a_cut_target_is_left_out() -> None:
    assert REDACTOR.text(b'{"request":{"uri":"/a?q=1&x=ghp_abc') == '{"request":{"uri":"/a?q=1&x='


@given(st.binary(max_size=400))
def test_any_bytes_give_printable_text(body: bytes) -> None:
    for is_ours in (True, False):
        text = REDACTOR.text(body, is_ours=is_ours)
        assert text.isprintable()
        text.encode()


def test_a_long_record_is_cut() -> None:
    assert len(REDACTOR.text(b"word " * 100_000)) <= 64 * 1024
