"""Files are merged by time, roughly, and no clock of a single record can spoil it."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.merging import Run, merged, runs

DAY_US = 86_400_000_000
BEGIN_US = 1_795_460_000_000_000


def peek(body: bytes) -> int | None:
    """A record of these tests is its start in microseconds, or begins with a letter."""
    text = body.partition(b" ")[0]
    return int(text) if text.isdigit() else None


def log(starts: list[int | None]) -> list[bytes]:
    return [b"%s %d" % (b"-" if start is None else b"%d" % start, at) for at, start in enumerate(starts)]


def runs_of(*blocks: list[bytes]) -> list[Run]:
    return list(runs(blocks, peek))


starts = st.one_of(st.none(), st.integers(1, 10**7), st.integers(BEGIN_US, BEGIN_US + 10 * DAY_US))


@given(st.lists(st.lists(starts, max_size=600), max_size=4))
def test_every_record_is_in_one_run_in_order_and_time_never_falls(blocks: list[list[int | None]]) -> None:
    bodies = [log(block) for block in blocks]
    cut = list(runs(bodies, peek))
    assert [body for run in cut for body in run.bodies] == [body for block in bodies for body in block]
    assert all(0 < len(run.bodies) <= 256 for run in cut)
    assert all(one.start_us <= other.start_us for one, other in itertools.pairwise(cut))


def test_a_dense_log_goes_in_runs_of_256() -> None:
    cut = runs_of(log([BEGIN_US + number * 10 for number in range(2560)]))
    assert [len(run.bodies) for run in cut] == [256] * 10
    assert [run.start_us for run in cut[:2]] == [BEGIN_US, BEGIN_US + 255 * 10]


def test_of_a_dense_log_only_a_few_records_are_looked_at() -> None:
    looked_at: list[bytes] = []

    def counted(body: bytes) -> int | None:
        looked_at.append(body)
        return peek(body)

    list(runs([log([BEGIN_US + number * 10 for number in range(2560)])], counted))
    assert len(looked_at) < 2560 / 8 + 256  # the first run is cut where its beginning is found


def test_a_second_that_begins_between_the_records_looked_at_is_found_by_the_last() -> None:
    dense = [BEGIN_US + number * 10 for number in range(256)]
    cut = runs_of(log(dense), log([*dense[:-3], *(BEGIN_US + 10_000_000 + number for number in range(3))]))
    assert [(run.start_us, len(run.bodies)) for run in cut[-2:]] == [
        (dense[-1], 253),
        (BEGIN_US + 10_000_000, 3),
    ]


def test_a_sparse_log_goes_second_by_second() -> None:
    cut = runs_of(log([BEGIN_US + number * 400_000 for number in range(9)]))
    assert [len(run.bodies) for run in cut] == [3, 3, 3]


def test_a_long_request_goes_with_those_that_ended_with_it() -> None:
    now = [BEGIN_US + number * 1000 for number in range(100)]
    cut = runs_of(log([*now[:50], BEGIN_US - DAY_US, *now[50:]]))
    assert [(run.start_us, len(run.bodies)) for run in cut] == [(BEGIN_US, 101)]


def test_a_record_that_shows_no_time_goes_with_the_one_before_and_at_the_beginning_with_the_next() -> None:
    cut = runs_of(log([None, None, BEGIN_US, None, BEGIN_US + 5_000_000, None]))
    assert [(run.start_us, len(run.bodies)) for run in cut] == [(BEGIN_US, 4), (BEGIN_US + 5_000_000, 2)]


def test_a_single_wrong_clock_does_not_move_time() -> None:
    far = BEGIN_US + 20_000 * DAY_US
    for at in (0, 1, 50):
        starts = [BEGIN_US + number * 1000 for number in range(100)]
        starts[at] = far
        assert {run.start_us for run in runs_of(log(starts))} <= {BEGIN_US, BEGIN_US + 1000}


def test_a_gap_of_days_is_believed() -> None:
    cut = runs_of(log([BEGIN_US, BEGIN_US + 1, BEGIN_US + 3 * DAY_US, BEGIN_US + 3 * DAY_US + 1]))
    assert [run.start_us for run in cut] == [BEGIN_US, BEGIN_US + 3 * DAY_US]


@given(st.lists(st.lists(st.integers(0, 10**8), min_size=1, max_size=30).map(sorted), min_size=1, max_size=4))
def test_runs_of_sorted_files_come_out_sorted(files: list[list[int]]) -> None:
    streams = []
    for name, starts in enumerate(files):
        its = [Run(BEGIN_US + start, [b"%d" % start]) for start in starts]
        streams.append((name, its[0].start_us, iter(its)))
    came = list(merged(streams))
    times = [run.start_us for _, run, _ in came]
    assert times == sorted(BEGIN_US + start for starts in files for start in starts)
    assert [time for _, _, time in came] == times
    for name, starts in enumerate(files):
        assert [run.bodies for whose, run, _ in came if whose == name] == [
            [b"%d" % start] for start in starts
        ]


def test_a_file_is_not_begun_before_its_turn() -> None:
    begun = []

    def stream(name: str, *starts: int):  # noqa: ANN202 -- a generator of runs
        begun.append(name)
        yield from (Run(start, [name.encode()]) for start in starts)

    came = merged([("b", 5, stream("b", 5, 6)), ("a", 1, stream("a", 1, 2))])
    assert [next(came)[0], begun] == ["a", ["a"]]
    assert [name for name, _, _ in came] == ["a", "b", "b"]
    assert begun == ["a", "b"]


def test_time_never_falls_and_what_shows_none_goes_with_what_follows() -> None:
    undated, late = [Run(0, [b"admin"]), Run(30, [b"x"])], [Run(10, [b"y"]), Run(20, [b"z"])]
    came = merged([("undated", 0, iter(undated)), ("dated", 10, iter(late))])
    assert [(run.bodies, time) for _, run, time in came] == [
        ([b"admin"], 10), ([b"y"], 10), ([b"z"], 20), ([b"x"], 30),
    ]  # fmt: skip


def test_with_no_time_at_all_there_is_none() -> None:
    assert [time for _, _, time in merged([("one", 0, iter([Run(0, [b"a"]), Run(0, [b"b"])]))])] == [0, 0]
