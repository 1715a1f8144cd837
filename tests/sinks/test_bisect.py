"""Bad rows are found among good ones, and nothing else is lost for their sake."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreUnavailable
from pipeline.sinks.bisect import MOST_CULPRITS, put_bisecting
from pipeline.store.connection import Refused


class Keeper:
    """Takes rows, wholly or not at all, unless one of them is bad."""

    def __init__(self, bad: set[int], most: int = 2**30) -> None:
        self.kept: list[int] = []
        self.calls = 0
        self._bad = bad
        self._most = most

    def put(self, rows: Sequence[int]) -> None:
        self.calls += 1
        if len(rows) > self._most:
            raise Refused("MEMORY_LIMIT_EXCEEDED", by_content=False)
        if not self._bad.isdisjoint(rows):
            raise Refused("CANNOT_PARSE_NUMBER")
        self.kept += rows


@given(st.integers(0, 300), st.sets(st.integers(0, 300), max_size=MOST_CULPRITS))
def test_all_but_the_bad_are_kept_once_and_in_order(count: int, bad: set[int]) -> None:
    keeper = Keeper(bad)
    culprits = put_bisecting(range(count), keeper.put)
    assert [row for row, _ in culprits] == [row for row in range(count) if row in bad]
    assert keeper.kept == [row for row in range(count) if row not in bad]


def test_one_bad_row_among_twenty_thousand_costs_few_inserts() -> None:
    keeper = Keeper({12_345})
    assert put_bisecting(range(20_000), keeper.put) == [(12_345, "CANNOT_PARSE_NUMBER")]
    assert keeper.calls <= 32


def test_a_batch_that_is_too_large_is_halved() -> None:
    keeper = Keeper(set(), most=100)
    assert put_bisecting(range(1000), keeper.put) == []
    assert keeper.kept == list(range(1000))


def test_a_row_that_does_not_fit_into_memory_is_no_bad_row() -> None:
    with pytest.raises(StoreUnavailable):
        put_bisecting(range(10), Keeper(set(), most=0).put)


def test_a_store_that_refuses_everything_is_not_believed() -> None:
    """A schema that does not fit must not turn a whole stream into dead letters."""
    keeper = Keeper(set(range(20_000)))
    with pytest.raises(StoreUnavailable, match="row after row"):
        put_bisecting(range(20_000), keeper.put)
    assert keeper.calls < 300


def test_what_may_pass_later_is_not_cut() -> None:
    calls = []

    def put(rows: Sequence[int]) -> None:
        calls.append(rows)
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable, match="away"):
        put_bisecting([1, 2, 3], put)
    assert calls == [[1, 2, 3]]
