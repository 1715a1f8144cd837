from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.join.offsets import OffsetTracker
from pipeline.model import Outcome, OutcomeKind, Source

STORED = Outcome(Source.KONG, OutcomeKind.STORED)
DUPLICATE = Outcome(Source.KONG, OutcomeKind.DUPLICATE)


@given(st.data(), st.integers(0, 30))
def test_a_commit_never_passes_a_record_that_is_not_done(data: st.DataObject, count: int) -> None:
    """However records finish, resuming at `committable` reads every unfinished one again."""
    tracker, held = OffsetTracker(1 << 40), set(range(count))
    for index in data.draw(st.permutations(range(count))):
        tracker.done((1 << 40) + index, STORED)
        held.discard(index)
        offset, _ = tracker.advance()
        assert offset - (1 << 40) == min(held, default=count)
        assert tracker.committable == offset


@given(st.lists(st.sampled_from([STORED, DUPLICATE]), max_size=200), st.integers(1, 7))
def test_every_record_passed_is_counted_once(outcomes: list[Outcome], step: int) -> None:
    tracker, counted = OffsetTracker(7), Counter[Outcome]()
    for index, outcome in enumerate(outcomes):
        tracker.done(7 + index, outcome)
        if index % step == 0:
            counted += tracker.advance()[1]
    counted += tracker.advance()[1]
    assert counted == Counter(outcomes)


def test_a_record_done_twice_is_a_mistake_that_shows() -> None:
    tracker = OffsetTracker(0)
    tracker.done(1, STORED)
    with pytest.raises(ValueError, match="done already"):
        tracker.done(1, STORED)
    tracker.done(0, STORED)
    tracker.advance()
    with pytest.raises(ValueError, match="done already"):
        tracker.done(0, STORED)


def test_what_has_been_passed_is_forgotten() -> None:
    tracker = OffsetTracker(0)
    for offset in range(3 << 20):
        tracker.done(offset, STORED)
        if offset % 1000 == 0:
            tracker.advance()
    assert tracker.advance()[0] == 3 << 20
    assert len(tracker._codes) < 2 << 20
