"""The integer that names a record on Kafka."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.positions import (
    MOST_MESSAGES,
    MOST_PARTITIONS,
    MOST_RECORDS,
    Position,
    is_rekeyed,
    split,
    unpack,
)
from pipeline.model import Source

positions = st.builds(
    Position,
    st.sampled_from(Source),
    st.integers(0, MOST_PARTITIONS - 1),
    st.integers(0, MOST_MESSAGES - 1),
    st.integers(0, MOST_RECORDS - 1),
    st.booleans(),
)


@given(positions)
def test_a_number_says_what_was_packed_and_fits_63_bits(position: Position) -> None:
    number = position.pack()
    assert unpack(number) == position
    assert is_rekeyed(number) is position.is_rekeyed
    assert 2**62 <= number < 2**63  # a journal's are below 2**62


@given(positions, positions)
def test_different_records_have_different_numbers(one: Position, other: Position) -> None:
    assert (one.pack() == other.pack()) is (one == other)


@given(positions)
def test_records_of_a_message_follow_one_another(position: Position) -> None:
    message, nth = split(position.pack())
    assert nth == position.nth
    first = position._replace(nth=0).pack()
    assert first + nth == position.pack()
    assert split(first) == (message, 0)


@pytest.mark.parametrize(
    "position",
    [
        Position(Source.KONG, MOST_PARTITIONS, 0),
        Position(Source.KONG, 0, MOST_MESSAGES),
        Position(Source.KONG, 0, 0, MOST_RECORDS),
        Position(Source.KONG, -1, 0),
    ],
)
def test_what_does_not_fit_is_refused(position: Position) -> None:
    with pytest.raises(ValueError, match="63 bits"):
        position.pack()
