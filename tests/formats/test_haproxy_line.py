"""The recommended line read strictly and, where that is refused, piece by piece: both say the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.haproxy_line import Line, decode_line, read_leniently

LINE: dict[str, Any] = {
    "v": "hap-req/1",
    "id": "r",
    "acc": "1795460243.518",
    "Th": 0,
    "Ta": "7",
    "cp": "50000",
    "st": 200,
    "ua": "a",
}
KINDS = {field.encode_name: field.type for field in msgspec.structs.fields(Line)}
TEXTS = [name for name, kind in KINDS.items() if kind is str and name != "v"]
COUNTS = [name for name in ("rt", "lc", "Th", "TR", "Ta", "U", "B", "st", "cp", "pid") if name in KINDS]


def as_text(tree: dict[str, Any]) -> str:
    return msgspec.json.encode(tree).decode()


@given(
    st.dictionaries(st.sampled_from(TEXTS), st.text(max_size=20)),
    st.dictionaries(
        st.sampled_from(COUNTS), st.integers(0, 999).flatmap(lambda n: st.sampled_from([n, str(n)]))
    ),
)
def test_a_strict_line_is_the_same_read_leniently(texts: dict[str, str], counts: dict[str, Any]) -> None:
    message = as_text({**LINE, **texts, **counts})
    strict, lenient = decode_line(message), read_leniently(message)
    assert lenient.flags == []
    assert [getattr(lenient.line, name) for name in (*TEXTS, *COUNTS)] == [
        getattr(strict, name) for name in (*TEXTS, *COUNTS)
    ]


@pytest.mark.parametrize("name", ["rt", "U", "B", "cp", "pid", "req_us"])
def test_a_dash_for_a_number_is_unknown_and_nothing_odd(name: str) -> None:
    lenient = read_leniently(as_text({**LINE, name: "-"}))
    assert getattr(lenient.line, name) is None
    assert lenient.flags == []


def test_a_lower_bound_is_read_and_told() -> None:
    lenient = read_leniently(as_text({**LINE, "Ta": "+7"}))
    assert (lenient.line.Ta, lenient.flags) == (7, [flag.LOG_ASAP])


@pytest.mark.parametrize("value", [[], {}, True, "many", -7, 1 << 60])
def test_a_number_that_is_none_is_left_out_and_told(value: object) -> None:
    lenient = read_leniently(as_text({**LINE, "B": value}))
    assert (lenient.line.B, lenient.line.id, lenient.flags) == (None, "r", [flag.ODD_TYPES])


def test_a_number_where_text_belongs_is_text() -> None:
    assert read_leniently(as_text({**LINE, "acc": 1795460243.518, "rc": 0})).line.acc == "1795460243.518"


def test_a_line_that_was_cut_is_read_as_far_as_it_goes() -> None:
    message = as_text(LINE)
    for cut in range(message.index('"acc"'), len(message) - 1):
        lenient = read_leniently(message[:cut])
        assert (lenient.line.id, lenient.flags[0]) == ("r", flag.TRUNCATED)


@pytest.mark.parametrize("message", ["", "[]", "{}", '{"id":"r"}', '{"v":7.5.1}', "no"])
def test_what_has_no_version_is_refused(message: str) -> None:
    with pytest.raises(MalformedLine):
        read_leniently(message)
