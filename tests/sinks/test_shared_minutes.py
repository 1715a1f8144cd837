"""Each minute is one process's to count, and no mark goes while its writer relies on it."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sinks.shared_minutes import SharedMinutes
from pipeline.sinks.stumbles import Stumbles

NS = 10**9
MINUTE = 29_924_337
OVER_NS = (MINUTE + 1) * 60 * NS


def due(shared: SharedMinutes, marks: Mapping[int, Mapping[int, int]], now_ns: int) -> tuple[list[int], int]:
    minutes, removed = [], 0
    for part in shared.due(marks, lambda _: True, now_ns):
        minutes += list(part.minutes)
        removed += len(part.outdated)
        shared.done(part)
    return minutes, removed


def test_a_minute_is_counted_a_minute_after_its_end_and_again_when_it_is_marked_anew() -> None:
    shared = SharedMinutes(Stumbles())
    marks = {MINUTE: {1: OVER_NS - 40 * NS, 2: OVER_NS - 1}}
    assert due(shared, marks, OVER_NS + 59 * NS) == ([], 0)
    assert due(shared, marks, OVER_NS + 60 * NS) == ([MINUTE], 0)
    assert due(shared, marks, OVER_NS + 120 * NS) == ([], 0)
    marks[MINUTE][2] = OVER_NS + 130 * NS
    assert due(shared, marks, OVER_NS + 180 * NS) == ([], 0), "what was marked for may not be written yet"
    assert due(shared, marks, OVER_NS + 190 * NS) == ([MINUTE], 0)


def test_a_mark_is_taken_away_with_a_last_count_once_no_writer_relies_on_it() -> None:
    shared = SharedMinutes(Stumbles())
    marks = {MINUTE: {1: OVER_NS - 40 * NS, 2: OVER_NS + 300 * NS}}
    assert due(shared, marks, OVER_NS + 400 * NS) == ([MINUTE], 0)
    assert due(shared, marks, OVER_NS + 899 * NS) == ([], 0)
    assert due(shared, marks, OVER_NS + 900 * NS) == ([MINUTE], 1)
    assert due(shared, {MINUTE: {2: OVER_NS + 300 * NS}}, OVER_NS + 1200 * NS) == ([MINUTE], 1)


def test_the_mark_of_a_minute_that_is_still_to_come_stays_until_it_is_over() -> None:
    marks = {MINUTE: {1: OVER_NS - 9000 * NS}}
    assert due(SharedMinutes(Stumbles()), marks, OVER_NS) == ([], 0)
    assert due(SharedMinutes(Stumbles()), marks, OVER_NS + 100 * NS) == ([MINUTE], 0)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 400))
def test_processes_that_share_the_partitions_count_each_minute_once(
    partitions: int, processes: int, count: int
) -> None:
    marks = {MINUTE - nth: {1: OVER_NS - nth * 60 * NS} for nth in range(count)}
    found: list[int] = []
    for process in range(processes):
        mine = range(partitions * process // processes, partitions * (process + 1) // processes)
        parts = SharedMinutes(Stumbles()).due(
            marks, lambda one, mine=mine: one % partitions in mine, OVER_NS + 60 * NS
        )  # type: ignore[misc] # bound now
        found += [minute for part in parts for minute in part.minutes]
    assert sorted(found) == sorted(marks)
