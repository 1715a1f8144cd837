"""Items become pieces: the name of their value, and how what HAProxy did to it is undone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.formats.log_format.nodes import read_nodes
from pipeline.formats.log_format.pieces import NO_CAPTURES, Captures, Piece, make_pieces, takes_space


def pieces(text: str, captures: Captures = NO_CAPTURES, names: dict[str, str] | None = None) -> list[Piece]:
    return make_pieces(read_nodes(text)[0], captures, names or {})


def keys(text: str, captures: Captures = NO_CAPTURES, names: dict[str, str] | None = None) -> list[str]:
    return [piece.key for piece in pieces(text, captures, names) if piece.key]


def test_an_alias_is_named_after_itself_and_an_expression_after_what_it_gives() -> None:
    assert keys("%ci %[src] %[unknown_fetch]") == ["ci", "ci", "%[unknown_fetch]"]
    assert [piece.is_known for piece in pieces("%ci%[unknown_fetch]")] == [True, False]


@pytest.mark.parametrize(
    "names", [{"#2": "host"}, {"var(txn.h)": "host"}], ids=["by position", "by expression"]
)
def test_the_operator_names_an_expression(names: dict[str, str]) -> None:
    assert keys("%[var(txn.k)] %ci %[var(txn.h)]", names=names) == ["%[var(txn.k)]", "ci", "host"]


def test_a_slot_is_what_was_captured_into_it() -> None:
    captures = Captures(("req.hdr(Host)", "req.hdr(User-Agent)"), ("res.hdr(X-Kong-Request-Id)",))
    text = "%[capture.req.hdr(0)] %[capture.req.hdr(1)] %[capture.res.hdr(0)] %[capture.req.hdr(7)]"
    assert keys(text, captures) == ["host", "user_agent", "kong_rid", "%[capture.req.hdr(7)]"]


def test_there_is_no_alias_that_haproxy_does_not_have() -> None:
    with pytest.raises(ConfigError, match="no %zz"):
        pieces("%ci %zz")


@given(st.ip_addresses(v=4))
def test_addresses_in_hexadecimal_come_back(address: object) -> None:
    piece = next(piece for piece in pieces("%{+X}ci") if piece.key)
    assert piece.convert is not None
    packed = getattr(address, "packed", b"")
    assert piece.convert(packed.hex().upper()) == str(address)


@given(st.integers(0, 2**31))
def test_numbers_in_hexadecimal_come_back(number: int) -> None:
    piece = next(piece for piece in pieces("%{+X}cp") if piece.key)
    assert piece.convert is not None
    assert piece.convert(f"{number:X}") == str(number)
    assert piece.convert("-") == "-"


@given(st.text(max_size=20))
def test_escapes_of_structured_data_come_back(text: str) -> None:
    piece = next(piece for piece in pieces("%{+E}[var(txn.k)]") if piece.key)
    assert piece.decode is not None
    written = text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
    assert piece.decode(written) == text


def test_a_separator_goes_with_what_vanishes_only_where_one_was_written_before() -> None:
    first = pieces("%hr %hs %ST")
    assert [takes_space(first, index) for index in range(len(first)) if first[index].vanishes] == [True, True]
    glued = pieces("a%hr %ST")
    assert not takes_space(glued, 1)
