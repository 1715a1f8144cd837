"""However messages come and go, each span is in exactly one place, and a commit says what became of those before it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.span_messages import Waiting
from pipeline.bus.kafka.span_partition import Kept, SpanPartition, read_text, write_text
from pipeline.spans.waiting import DROPPED, SENT

SENT_ALL = (SENT, "")


def frame(offset: int, spans: int = 3, written_ms: int = 100) -> Waiting:
    return Waiting(offset, spans, b"x" * 10, written_ms, {})


def begun(first: int = 0, committed: int = -1, kept: Kept | None = None) -> SpanPartition:
    return SpanPartition(first, committed, kept or Kept())


def test_what_is_taken_waits_and_is_passed_in_order() -> None:
    part = begun()
    part.take(0, frame(0, 3))
    part.take(1, frame(1, 4))
    assert (part.account().queued, part.account().queued_bytes, part.next) == (7, 20, 0)
    part.pass_head({SENT_ALL: 3})
    account = part.account()
    assert (account.fates, account.queued, account.received, part.next) == ({SENT_ALL: 3}, 4, 7, 1)


def test_a_message_that_came_before_is_not_taken_again() -> None:
    part = begun(first=5)
    part.take(4, frame(4))
    part.take(5, frame(5))
    part.take(5, frame(5))
    assert [one.offset for one in part.waiting] == [5]


def test_the_account_of_a_commit_counts_what_was_passed_since_as_queued() -> None:
    part = begun()
    part.take(0, frame(0, 3))
    part.take(1, frame(1, 4))
    part.pass_head({SENT_ALL: 3})
    as_committed = part.account(committed=True)
    assert (as_committed.fates, as_committed.queued) == ({}, 7)
    part.committed, part.kept = part.next, part.state()
    as_committed = part.account(committed=True)
    assert (as_committed.fates, as_committed.queued) == ({SENT_ALL: 3}, 4)
    assert not part.is_behind


def test_messages_that_are_gone_are_counted_once_they_are_passed() -> None:
    """Not when the gap is seen: whoever comes after a kill sees it too."""
    part = begun(first=10, committed=4)
    assert part.gone == 6
    part.take(13, frame(13))
    assert part.gone == 6
    part.pass_head({SENT_ALL: 3})
    assert part.gone == 9
    assert read_text(write_text(part.state())).gone == 9


def test_a_partition_that_nobody_ever_committed_has_lost_nothing() -> None:
    assert begun(first=10, committed=-1).gone == 0


def test_what_is_too_old_is_dropped_and_what_is_not_sent_is_passed() -> None:
    part = begun()
    part.take(0, frame(0, 3, written_ms=10))
    part.take(1, None)
    part.take(2, Waiting(2, 0, b"", 10, {"broker_error": 5}))
    part.take(3, frame(3, 4, written_ms=99))
    part.take(4, frame(4, 2, written_ms=100))
    part.take(5, frame(5, 2, written_ms=10))
    assert part.pass_what_is_not_sent(100) == 7
    account = part.account()
    assert account.fates == {(DROPPED, "too_old"): 7, (DROPPED, "broker_error"): 5}
    assert [one.offset for one in part.waiting] == [4, 5]
    assert account.queued == 4


def test_whoever_comes_next_goes_on_with_the_account() -> None:
    part = begun(first=8, committed=8, kept=read_text('{"v":1,"f":[["sent","",40]],"gone":2}'))
    part.take(8, frame(8, 3))
    part.pass_head({SENT_ALL: 1, (DROPPED, "rejected"): 2})
    again = read_text(write_text(part.state()))
    assert again.fates == {SENT_ALL: 41, (DROPPED, "rejected"): 2}
    assert again.gone == 2


@pytest.mark.parametrize("text", ["x", "[]", '{"v":2,"f":[]}', '{"v":1}', '{"v":1,"f":[["sent",3,1]]}'])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="account"):
        read_text(text)


def test_no_text_is_nothing_yet() -> None:
    assert read_text("") == Kept()


@given(st.data())
def test_each_span_is_in_one_place(data: st.DataObject) -> None:
    part = begun()
    made: Counter[str] = Counter()
    offset = 0
    for _ in range(data.draw(st.integers(0, 40))):
        step = data.draw(st.sampled_from(["take", "foreign", "drops", "pass", "old", "commit"]))
        offset += data.draw(st.integers(0, 2)) if step != "pass" else 0
        if step == "take":
            spans = data.draw(st.integers(1, 9))
            part.take(offset, frame(offset, spans, data.draw(st.integers(0, 200))))
            made["on the topic"] += spans
        elif step == "foreign":
            part.take(offset, None)
        elif step == "drops":
            part.take(offset, Waiting(offset, 0, b"", 100, {"broker_error": 2}))
            made["never on it"] += 2
        elif step == "pass" and part.waiting:
            part.pass_head({SENT_ALL: part.waiting[0].spans} if part.waiting[0].spans else {})
        elif step == "old":
            part.pass_what_is_not_sent(100)
        elif step == "commit":
            part.committed, part.kept = part.next, part.state()
        offset += step in {"take", "foreign", "drops"}
        unread_drops = sum(sum(one.lost.values()) for one in part.waiting)
        assert part.account().received + unread_drops == made.total()
        assert part.account(committed=True).received == part.account().received
        assert part.spans == sum(one.spans for one in part.waiting)
        assert part.bytes == sum(len(one.body) for one in part.waiting)
