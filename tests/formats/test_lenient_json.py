from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedLine
from pipeline.formats.lenient_json import load_lenient, load_object, mend

trees = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
    max_size=6,
)


@given(trees)
def test_good_json_is_read_as_it_is(tree: dict[str, object]) -> None:
    assert load_lenient(json.dumps(tree)) == json.loads(
        json.dumps(tree), parse_int=lambda d: int(d) if len(d) < 20 else float(d)
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":"\xff\xe9"}', {"a": "\\xff\\xe9"}),
        (b'{"a":"\\ud800"}', {"a": "\ufffd"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"\xffk":1}', {"\\xffk": 1}),
        (b'{"a":"\x01\n"}', {"a": "\x01\n"}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":-Infinity}', {"a": float("-inf")}),
        (b'{"a":123456789012345678901}', {"a": 1.2345678901234568e20}),
    ],
)
def test_odd_json_is_read_as_far_as_it_can_be(body: bytes, expected: dict[str, object]) -> None:
    assert load_lenient(body) == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"[]", "not_an_object"), (b"", "not_json"), (b'{"a"', "not_json"), (b'{"a":' * 50_000, "too_deep")],
)
def test_what_is_no_object_says_why_without_its_own_text(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedLine) as caught:
        load_lenient(body)
    assert caught.value.reason == reason
    assert load_object(body) is None


@given(trees, st.integers(0, 200))
def test_cut_json_keeps_what_is_whole(tree: dict[str, object], cut: int) -> None:
    text = json.dumps(tree)
    mended = mend(text[: min(cut, len(text) - 1)])
    if mended is None:
        return
    found = json.loads(mended)
    *whole, last = found
    for key in whole:
        assert found[key] == json.loads(text)[key]
    assert last in json.loads(text)


@pytest.mark.parametrize("text", ["", "x", "{", '{"a":1', '{"a":1}', "}", "[}", "[" * 300 + ","])
def test_what_holds_nothing_whole_or_is_whole_is_not_mended(text: str) -> None:
    assert mend(text) is None
