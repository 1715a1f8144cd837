from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.text import LARGEST, NUMBERS, decode, has_control, identity_hash, whole_number


@given(st.binary())
def test_decoding_never_fails_and_says_whether_all_was_text(body: bytes) -> None:
    text, is_utf8 = decode(body)
    text.encode()
    assert is_utf8 is (text.encode() == body) or not is_utf8


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("+5", 5), ("007", 7), ("-1", None), ("-", None), ("", None), (None, None), ("1_0", None), (" 7", None),
     ("٣", None), ("²", None), ("1.5", None), (str(LARGEST), LARGEST), (str(LARGEST + 1), None), ("9" * 30, None), ("++1", None)],
)  # fmt: skip
def test_only_what_haproxy_writes_for_a_number_is_one(text: str | None, number: int | None) -> None:
    assert whole_number(text) == number


def test_a_number_above_the_most_is_unknown() -> None:
    assert whole_number("65535", 65_535) == 65_535
    assert whole_number("65536", 65_535) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a b", False), ("ü €", False), ("\u200b", False), ("a\x1b[", True), ("\x7f", True)],
)
def test_control_characters_are_seen(text: str, expected: bool) -> None:
    assert has_control(text) is expected


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_hashes_are_of_64_bits_never_0_and_equal_for_equal_parts(one: list[str], other: list[str]) -> None:
    assert 0 < identity_hash(*one) < 2**64
    assert (identity_hash(*one) == identity_hash(*other)) is ("\x1f".join(one) == "\x1f".join(other))


def test_hashes_stay_what_they_were() -> None:
    """They name rows in stores: another value would write every redelivered request a second time."""
    assert identity_hash("a", "b") == 17_891_760_522_800_452_624


@given(st.one_of(st.none(), st.text(), st.integers().map(str), st.integers(0, 9999).map(lambda n: f"+{n}")))
def test_looking_a_number_up_is_reading_it(text: str | None) -> None:
    known = len(NUMBERS)
    assert NUMBERS[text] == whole_number(text)
    assert len(NUMBERS) == known


def test_surrogates_of_a_line_read_leniently_have_a_hash_too() -> None:
    assert identity_hash("a\udcff") == identity_hash("a?")
