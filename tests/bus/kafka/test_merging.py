"""What waits of both topics: in order of arrival, bounded, and no longer than something may still come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.merging import Merging
from pipeline.bus.kafka.packing import Slice, pack
from pipeline.model import Source

EDGE, GATEWAY = Source.HAPROXY, Source.KONG


def merging(queue_bytes: int = 10**6, edge_end: int = 0, gateway_end: int = 0) -> Merging:
    return Merging(dict.fromkeys(Source, 0), {EDGE: edge_end, GATEWAY: gateway_end}, queue_bytes)


def push(into: Merging, source: Source, offset: int, arrival: int) -> int:
    value, headers = pack(source, [Slice("", arrival, [b"x"])])
    return into.push(source, offset, value, headers, 0)


def test_a_queue_says_when_it_is_full_and_when_half_of_it_is_free() -> None:
    waiting = merging(2000)
    assert not waiting.is_full(EDGE)
    for offset in range(10):
        push(waiting, EDGE, offset, offset)
    assert waiting.is_full(EDGE)
    assert not waiting.is_full(GATEWAY)
    assert not waiting.has_room(EDGE)
    for _ in range(6):
        waiting.pop(EDGE)
    assert waiting.has_room(EDGE)
    assert waiting.lag(EDGE) == 4


@given(st.lists(st.tuples(st.sampled_from(Source), st.integers(0, 1000)), max_size=40))
def test_all_comes_out_by_arrival_once_both_topics_are_there(given: list[tuple[Source, int]]) -> None:
    stamps = {source: sorted(stamp for whose, stamp in given if whose is source) for source in Source}
    waiting = merging(edge_end=len(stamps[EDGE]), gateway_end=len(stamps[GATEWAY]))
    for source, mine in stamps.items():
        for offset, stamp in enumerate(mine):
            push(waiting, source, offset, stamp)
    found = []
    while (head := waiting.first()) is not None:
        found.append(waiting.pop(head[0]).arrival_ns)
    assert found == sorted(stamp for _, stamp in given)


def test_nothing_is_first_while_the_other_topic_has_more_that_has_not_come() -> None:
    waiting = merging(gateway_end=1)
    push(waiting, EDGE, 0, 5)
    assert waiting.first() is None
    push(waiting, GATEWAY, 0, 3)
    head = waiting.first()
    assert head is not None
    assert head[0] is GATEWAY


def test_a_message_that_came_before_is_not_taken_twice_and_a_gap_is_told() -> None:
    waiting = merging()
    assert push(waiting, EDGE, 0, 1) == 0
    assert push(waiting, EDGE, 0, 1) == 0
    assert push(waiting, EDGE, 5, 2) == 4
    assert waiting.lag(EDGE) == 2


def test_what_is_gone_is_skipped_once_what_waits_has_had_its_turn() -> None:
    waiting = merging(edge_end=9)
    push(waiting, EDGE, 0, 1)
    assert waiting.skip(EDGE, 9) == 0
    waiting.pop(EDGE)
    assert waiting.is_waiting()
    assert waiting.skip(EDGE, 9) == 8
    assert not waiting.is_waiting()
    assert waiting.skip(EDGE, 9) == 0
    assert waiting.skip(EDGE, 4) == 0
