"""The account that is committed with an offset."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.ledger import Kept, read_kept, write_kept
from pipeline.model import Outcome, OutcomeKind, Source

outcomes = st.builds(
    lambda kind, reason: Outcome(Source.KONG, kind, reason),
    st.sampled_from(OutcomeKind),
    st.text(max_size=30),
)


@given(st.dictionaries(outcomes, st.integers(1, 2**60), max_size=20), st.integers(0, 2**40))
def test_what_is_written_is_read(counts: dict[Outcome, int], gone: int) -> None:
    assert read_kept(Source.KONG, write_kept(counts, 77, gone)) == Kept(Counter(counts), 77, gone)


def test_a_text_from_before_messages_that_are_gone_were_counted_is_read() -> None:
    text = '{"v":1,"o":[["stored","",5]],"r":9}'
    assert read_kept(Source.KONG, text) == Kept(Counter({Outcome(Source.KONG, OutcomeKind.STORED): 5}), 9, 0)


@given(st.dictionaries(outcomes, st.integers(1, 2**60), min_size=100, max_size=400))
def test_however_many_reasons_there_are_it_fits_and_every_kind_keeps_its_sum(
    counts: dict[Outcome, int],
) -> None:
    text = write_kept(counts, 2**40, 2**40)
    assert len(text.encode()) <= 4000
    wanted, found = Counter[OutcomeKind](), Counter[OutcomeKind]()
    for outcome, count in counts.items():
        wanted[outcome.kind] += count
    for outcome, count in read_kept(Source.KONG, text).counts.items():
        found[outcome.kind] += count
    assert found == wanted


def test_no_text_is_an_empty_account() -> None:
    assert read_kept(Source.KONG, "") == Kept(Counter(), -1)


@pytest.mark.parametrize("text", ["x", "{}", '{"v":2,"o":[]}', '{"v":1,"o":[["eaten","",1]]}'])
def test_what_others_committed_is_no_account(text: str) -> None:
    with pytest.raises(ValueError, match="account"):
        read_kept(Source.KONG, text)
