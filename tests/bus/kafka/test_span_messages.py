"""A message of the span topic says how many spans it holds; what is not ours is nothing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.span_messages import pack_frame, pack_span_drops, unpack
from pipeline.spans import Frame

FRAME = [("format", b"hoptrail-spans/1")]
DROPS = [("format", b"hoptrail-span-drops/1")]


@given(st.binary(min_size=1), st.integers(1, 10**9 - 1))
def test_a_frame_comes_back_as_it_was(body: bytes, spans: int) -> None:
    value, headers = pack_frame(Frame(body, spans))
    found = unpack(7, value, headers, 123)
    assert found is not None
    assert (found.offset, found.body, found.spans, found.written_ms, found.lost) == (7, body, spans, 123, {})


def test_a_count_of_drops_comes_back_and_has_nothing_to_send() -> None:
    value, headers = pack_span_drops({"broker_error": 5, "internal_error": 2})
    found = unpack(7, value, headers, 123)
    assert found is not None
    assert (found.body, found.spans) == (b"", 0)
    assert found.lost == {"broker_error": 5, "internal_error": 2}


def test_reasons_that_strangers_make_up_are_one_and_take_nothing_away() -> None:
    drops = {f"made up {number}": 1 for number in range(5000)} | {"broker_error": -7}
    found = unpack(0, msgspec.msgpack.encode(drops), DROPS, 0)
    assert found is not None
    assert found.lost == {"other": 5000, "broker_error": 0}


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (None, []),
        (b"", [*FRAME, ("spans", b"3")]),
        (b"body", []),
        (b"body", FRAME),
        (b"body", [*FRAME, ("spans", b"")]),
        (b"body", [*FRAME, ("spans", b"-3")]),
        (b"body", [*FRAME, ("spans", b"9" * 5000)]),
        (b"body", [("format", b"hoptrail-spans/2"), ("spans", b"3")]),
        (None, DROPS),
        (b"\xc1", DROPS),
        (b"\x91\x01", DROPS),
    ],
)
def test_what_is_not_ours_is_nothing(value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    assert unpack(0, value, headers, 0) is None


@given(
    st.none() | st.binary(), st.lists(st.tuples(st.sampled_from(["format", "spans"]), st.binary(max_size=30)))
)
def test_no_bytes_make_it_fail(value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    found = unpack(0, value, headers, 0)
    assert found is None or found.spans >= 0
