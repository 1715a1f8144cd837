"""Three ways to read a line: whole, with free values between what is certain, and as far as it goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import flags as flag
from pipeline.formats.log_format import compile_format

HTTPLOG = compile_format("httplog")
LINE = (
    '192.0.2.9:50000 [23/Nov/2026:18:57:23.518] edge~ be/s1 0/0/1/5/7 200 778 - - ---- 1/1/0/0/0 0/0 "GET /a?b=c HTTP/1.1"'
)  # fmt: skip


def test_a_line_is_read_whole() -> None:
    flags: set[str] = set()
    values = HTTPLOG.read(LINE, flags)
    assert values is not None
    assert (values["ci"], values["cp"], values["b"], values["s"], values["Ta"]) == (
        "192.0.2.9",
        "50000",
        "be",
        "s1",
        "7",
    )
    assert (values["ST"], values["B"], values["tsc"], values["r"]) == (
        "200",
        "778",
        "----",
        "GET /a?b=c HTTP/1.1",
    )
    assert not flags


@given(st.integers(0, len(LINE)))
def test_a_line_cut_anywhere_says_nothing_that_the_whole_one_does_not(cut: int) -> None:
    flags: set[str] = set()
    whole, values = HTTPLOG.read(LINE), HTTPLOG.read(LINE[:cut], flags)
    assert whole is not None
    if values is None:
        return
    assert flags == {flag.TRUNCATED} or cut == len(LINE)
    for key, text in values.items():
        if key in {"r", "CC", "CS"}:  # these have no length of their own
            assert (whole[key] or "").startswith(text or "")
        else:
            assert text == whole[key]


@given(st.text(st.characters(exclude_characters="\n"), max_size=30))
def test_a_free_value_between_certain_ones_may_hold_what_ends_it(text: str) -> None:
    compiled = compile_format("%ci %[capture.req.hdr(0)] %ST %B")
    values = compiled.read(f"192.0.2.9 {text} 200 778")
    assert values is not None
    assert (values["ST"], values["B"]) == ("200", "778")
    assert values["%[capture.req.hdr(0)]"] == text


@pytest.mark.parametrize(
    "line", ["", "-", "Proxy edge started.", LINE[20:], LINE + " more", LINE.replace("[", "(")]
)
def test_lines_of_other_formats_are_not_read(line: str) -> None:
    assert HTTPLOG.read(line) is None
