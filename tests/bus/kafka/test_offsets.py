"""Which messages are done."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.offsets import Offsets, Topic
from pipeline.bus.kafka.packing import Message, Slice
from pipeline.bus.kafka.positions import Position
from pipeline.model import Outcome, OutcomeKind, Source

STORED = {source: Outcome(source, OutcomeKind.STORED) for source in Source}


def tracker() -> Offsets:
    return Offsets(1, {source: Topic(10, {}) for source in Source})


def message(records: int, *, rekeyed: bool = False, **drops: int) -> Message:
    return Message((Slice("", 0, [b""] * records),) if records else (), drops, rekeyed)


@given(st.data())
def test_a_commit_never_passes_a_message_with_an_unfinished_record(data: st.DataObject) -> None:
    """However records of both topics finish, and whatever gaps Kafka leaves between messages."""
    offsets, held, end = tracker(), {}, {}
    for source in Source:
        at = 10
        for size in data.draw(st.lists(st.integers(1, 5), max_size=6)):
            at += data.draw(st.integers(0, 2))
            offsets.take(source, at, message(size))
            held |= {(source, at, nth): True for nth in range(size)}
            at += 1
        end[source] = at
    counted: Counter[Outcome] = Counter()
    for source, at, nth in data.draw(st.permutations(list(held))):
        del held[source, at, nth]
        offsets.done(Position(source, 1, at, nth).pack(), STORED[source])
        counted.update(offsets.advance()[1])
        for each in Source:
            lowest = min((offset for topic, offset, _ in held if topic is each), default=end[each])
            assert offsets.topics[each].next <= lowest
            assert offsets.topics[each].pending >= sum(topic is each for topic, _, _ in held)
    for each in Source:
        if offsets.topics[each].counts:
            assert offsets.topics[each].next == end[each]
        assert offsets.topics[each].pending == 0
        assert counted[STORED[each]] == offsets.topics[each].counts[STORED[each]]


def test_a_record_is_done_once() -> None:
    offsets = tracker()
    offsets.take(Source.KONG, 10, message(2))
    offsets.done(Position(Source.KONG, 1, 10, 1).pack(), STORED[Source.KONG])
    for nth in (1, 2):
        with pytest.raises(ValueError, match="done already"):
            offsets.done(Position(Source.KONG, 1, 10, nth).pack(), STORED[Source.KONG])


def test_copies_under_another_key_are_passed_and_not_counted() -> None:
    offsets = tracker()
    offsets.take(Source.KONG, 10, message(1, rekeyed=True))
    assert offsets.topics[Source.KONG].pending == 0
    offsets.done(Position(Source.KONG, 1, 10, 0, is_rekeyed=True).pack(), STORED[Source.KONG])
    assert offsets.advance()[1] == {}
    assert offsets.topics[Source.KONG].next == 11
    assert offsets.is_behind


def test_drops_are_counted_when_they_are_passed_and_not_before() -> None:
    offsets = tracker()
    offsets.take(Source.HAPROXY, 10, message(1))
    offsets.take(Source.HAPROXY, 11, message(0, bus_full=7))
    dropped = Outcome(Source.HAPROXY, OutcomeKind.DROPPED, "bus_full")
    assert offsets.topics[Source.HAPROXY].counts[dropped] == 0
    offsets.done(Position(Source.HAPROXY, 1, 10, 0).pack(), STORED[Source.HAPROXY])
    assert offsets.advance()[1] == {dropped: 7, STORED[Source.HAPROXY]: 1}
    assert offsets.topics[Source.HAPROXY].next == 12
    assert offsets.topics[Source.HAPROXY].pending == 0


def test_drops_alone_are_passed_at_once() -> None:
    offsets = tracker()
    offsets.take(Source.HAPROXY, 10, message(0, kernel_buffer=3))
    assert offsets.is_behind
    assert offsets.topics[Source.HAPROXY].next == 11
