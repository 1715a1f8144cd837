"""Requests to the receiver hold messages of several partitions, the oldest first, and the account is shared out."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.span_messages import Waiting
from pipeline.bus.kafka.span_partition import Kept, SpanPartition
from pipeline.bus.kafka.span_together import put_together, spread
from pipeline.spans.waiting import DROPPED, SENT, Fate


def partition(*messages: tuple[int, bytes]) -> SpanPartition:
    """Give a partition with messages that were written at a time and hold as many spans as bytes."""
    part = SpanPartition(0, -1, Kept())
    for offset, (written_ms, body) in enumerate(messages):
        part.take(offset, Waiting(offset, len(body), body, written_ms, {}))
    return part


def test_the_oldest_goes_first_whatever_partition_it_is_in() -> None:
    parts = {"a": partition((1, b"a1"), (4, b"a4")), "b": partition((2, b"b2"), (3, b"b3"))}
    found = put_together(parts, 100)
    assert found is not None
    frame, shares = found
    assert (frame.body, frame.spans) == (b"a1b2b3a4", 8)
    assert {name: share.spans for name, share in shares.items()} == {"a": [2, 2], "b": [2, 2]}


def test_a_request_is_as_large_as_it_may_be_and_no_message_is_cut() -> None:
    parts = {"a": partition((1, b"aaaa"), (2, b"bbbb"), (3, b"cccc"))}
    found = put_together(parts, 9)
    assert found is not None
    assert found[0].body == b"aaaabbbb"


def test_a_message_that_is_too_large_for_any_goes_alone() -> None:
    found = put_together({"a": partition((1, b"a" * 50), (2, b"b"))}, 9)
    assert found is not None
    assert found[0].body == b"a" * 50


def test_messages_without_spans_are_passed_with_their_neighbours() -> None:
    part = partition((1, b"a"))
    part.take(1, None)
    part.take(2, Waiting(2, 1, b"b", 3, {}))
    found = put_together({"a": part}, 100)
    assert found is not None
    assert found[1]["a"].spans == [1, 0, 1]


def test_nothing_gives_nothing() -> None:
    assert put_together({"a": partition()}, 9) is None
    assert put_together({}, 9) is None


def test_what_was_rejected_is_put_down_to_the_first() -> None:
    fates = {(SENT, ""): 6, (DROPPED, "rejected"): 4}
    shares = list(spread(fates, [3, 0, 2, 5]))
    assert shares == [
        {(DROPPED, "rejected"): 3},
        {},
        {(DROPPED, "rejected"): 1, (SENT, ""): 1},
        {(SENT, ""): 5},
    ]


@given(st.lists(st.integers(0, 50)), st.data())
def test_shares_sum_to_the_whole_both_ways(parts: list[int], data: st.DataObject) -> None:
    total = sum(parts)
    rejected = data.draw(st.integers(0, total))
    fates: dict[Fate, int] = {(SENT, ""): total - rejected, (DROPPED, "rejected"): rejected}
    shares = list(spread(fates, parts))
    assert [sum(share.values()) for share in shares] == parts
    together: Counter[Fate] = Counter()
    for share in shares:
        together.update(share)
    assert {fate: spans for fate, spans in fates.items() if spans} == together
