"""A minute that fails comes last and alone."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sinks.stumbles import Stumbles


def counted_in(stumbles: Stumbles, minutes: Iterable[int], poisoned: set[int]) -> tuple[int, set[int]]:
    """How many calls were made until only poisoned minutes were left, and those; a call ends where one fails."""
    left, calls = set(minutes), 0
    while left - poisoned:
        calls += 1
        while part := stumbles.next_part(left):
            if poisoned.intersection(part):
                stumbles.failed(part)
                break
            stumbles.counted(part)
            left.difference_update(part)
    return calls, left


@given(st.integers(1, 400), st.sets(st.integers(0, 399), max_size=3))
def test_whatever_fails_the_others_are_counted_within_few_calls(count: int, poisoned: set[int]) -> None:
    calls, left = counted_in(Stumbles(), range(count), poisoned)
    assert left <= poisoned
    assert calls <= 8 * (len(poisoned) + 1)


@given(st.sets(st.integers(0, 119), min_size=1, max_size=2))
def test_minutes_that_come_all_the_time_do_not_keep_failed_neighbours_back(poisoned: set[int]) -> None:
    stumbles, left = Stumbles(), set(range(120))
    for call in range(20):
        left.add(1000 + call)
        while part := stumbles.next_part(left):
            if poisoned.intersection(part):
                stumbles.failed(part)
                break
            stumbles.counted(part)
            left.difference_update(part)
    assert left == poisoned


def test_the_oldest_come_first_and_what_was_counted_has_no_past() -> None:
    stumbles = Stumbles()
    assert stumbles.next_part([3, 1, 2]) == [1, 2, 3]
    stumbles.failed([1, 2])
    assert stumbles.next_part([3, 1, 2]) == [3]
    assert stumbles.next_part([2, 1]) == [1, 2]
    stumbles.counted([1, 2])
    assert stumbles.next_part([3, 1, 2]) == [1, 2, 3]
