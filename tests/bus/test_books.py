from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.books import Books
from pipeline.model import Outcome, OutcomeKind, Source

KINDS = [Outcome(source, kind, "r") for source in Source for kind in OutcomeKind]


@given(st.lists(st.tuples(st.sampled_from(list(Source)), st.integers(1, 5))), st.data())
def test_received_is_always_outcomes_and_pending(
    arrivals: list[tuple[Source, int]], data: st.DataObject
) -> None:
    books = Books(2**40)
    received: Counter[Source] = Counter()
    owners: list[Source] = []
    for source, count in arrivals:
        books.receive(source, count)
        received[source] += count
        owners += [source] * count
        offset = data.draw(st.integers(books.committed, books.end))
        passed = owners[books.committed - 2**40 : offset - 2**40]
        outcomes = Counter(
            data.draw(st.sampled_from([kind for kind in KINDS if kind.source is owner])) for owner in passed
        )
        books.commit(offset, outcomes)
        account = books.account()
        for each in Source:
            left = sum(count for outcome, count in account.outcomes.items() if outcome.source is each)
            assert left + account.pending[each] == received[each]
    assert books.end == 2**40 + len(owners)
    pending = [source for source, count in books.runs(books.committed, books.end) for _ in range(count)]
    assert pending == owners[books.committed - 2**40 :]


def test_neighbours_of_one_source_are_one_run() -> None:
    books = Books(0)
    for source in (Source.KONG, Source.KONG, Source.HAPROXY, Source.KONG):
        books.receive(source, 2)
    assert list(books.runs(1, 7)) == [(Source.KONG, 3), (Source.HAPROXY, 2), (Source.KONG, 1)]
    assert list(books.runs(3, 3)) == []


def test_books_of_a_long_life_forget_what_has_left() -> None:
    books = Books(0)
    for _ in range(20_000):
        books.receive(Source.HAPROXY, 1)
        books.receive(Source.KONG, 1)
        passed = {Outcome(source, OutcomeKind.STORED): 1 for source in Source}
        books.commit(books.end, passed)
    assert len(books._ends) < 10_000
    assert sum(books.account().outcomes.values()) == 40_000


def test_a_refused_commit_leaves_the_books_as_they_were() -> None:
    books = Books(0)
    books.receive(Source.KONG, 3)
    with pytest.raises(ValueError, match="do not add up"):
        books.commit(2, {Outcome(Source.HAPROXY, OutcomeKind.STORED): 2})
    with pytest.raises(ValueError, match="not between"):
        books.commit(4, {Outcome(Source.KONG, OutcomeKind.STORED): 4})
    assert books.committed == 0
    assert books.account().pending[Source.KONG] == 3
    assert books.account().outcomes == {}
