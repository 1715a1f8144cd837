"""Gaps of HAProxy's log counter, as SQL finds them, against a plain model of what was sent and lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import clickhouse_connect
import pytest
from clickhouse_connect.driver import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.store.gap_queries import BLOCK, gaps_query
from pipeline.store.gaps import Gap, find_among, is_settled

GOLDEN = Path(__file__).parents[1] / "golden"
T0_US = 1_795_460_243_000_000
STEP_US = 90_000
"""A life lasts more than two seconds: a process that restarts sooner than that is not told apart."""
JITTER_US = 200_000
"""Lines of neighbouring counters may be stamped in another order."""
SAFE = 5
"""The first lines of a life are never lost here: without them nobody could tell that it began anew."""

PROPERTY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Sent(NamedTuple):
    """One line as HAProxy logged it."""

    node: str
    pid: int
    frontend: str
    counter: int
    name: int
    at: int


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    opened = clickhouse_connect.get_client(interface="chdb", path=str(tmp_path_factory.mktemp("gaps")))
    yield opened
    opened.close()


def _gaps(client: Client, lines: Sequence[Sent], since_us: int = 0, until_us: int = 2 * T0_US) -> list[Gap]:
    values = ", ".join(
        f"('{line.node}', {line.pid}, '{line.frontend}', {line.counter}, {line.name}, {line.at}, {line.name})"
        for line in lines
    )
    of = (
        "SELECT * FROM values('node String, pid UInt32, frontend String, log_counter Int64, line UInt64, "
        f"us Int64, offset Int64', {values})"
    )
    parameters = {"since": since_us, "until": until_us}
    found = find_among(client, of, parameters)
    rows = client.query(gaps_query(of), parameters | {"most": 10_000}).result_rows
    line_by_line = [Gap(str(row[0]), int(row[1]), str(row[2]), *map(int, row[3:])) for row in rows]
    assert sorted(found) == sorted(line_by_line)
    return found


def _lines(
    counters: Sequence[int], *, pid: int = 77, start_us: int = T0_US, node: str = "edge-1"
) -> list[Sent]:
    return [
        Sent(node, pid, "public", counter, start_us + index, start_us + index * STEP_US)
        for index, counter in enumerate(counters)
    ]


@st.composite
def _life(draw: st.DrawFn, pid: int, frontend: str, start_us: int) -> tuple[list[Sent], list[Sent]]:
    """Draw one life of a process: what it sent, and what came."""
    count = draw(st.integers(30, 40))
    lost = draw(st.sets(st.integers(SAFE, count - 1), max_size=8))
    jitters = draw(st.lists(st.integers(0, JITTER_US), min_size=count, max_size=count))
    sent = [
        Sent("edge-1", pid, frontend, index, start_us + index, start_us + index * STEP_US + jitters[index])
        for index in range(count)
    ]
    return sent, [line for line in sent if line.counter not in lost]


@st.composite
def _world(draw: st.DrawFn) -> list[list[Sent]]:
    """Draw the lives of a node: restarts with and without another pid, reloads that overlap, two frontends."""
    lives: list[list[Sent]] = []
    for frontend in draw(st.sampled_from([("public",), ("public", "admin")])):
        start_us, pid = T0_US, 77
        for _ in range(draw(st.integers(1, 3))):
            _, came = draw(_life(pid, frontend, start_us))
            lives.append(came)
            how = draw(st.sampled_from(["same pid", "new pid", "reload"]))
            end_us = came[-1].at
            pid += how != "same pid"
            start_us = (
                end_us - 700_000 if how == "reload" else end_us + JITTER_US + draw(st.integers(0, 10**7))
            )
    return lives


def _lacking(lives: Sequence[Sequence[Sent]]) -> Counter[tuple[int, str, int, int, int]]:
    """Say what lacks, the plain way: between neighbours of one life, what is not there."""
    found: Counter[tuple[int, str, int, int, int]] = Counter()
    for came in lives:
        counters = sorted({line.counter for line in came})
        for low, high in pairwise(counters):
            if high - low > 1:
                found[came[0].pid, came[0].frontend, low, high, high - low - 1] += 1
    return found


@PROPERTY
@given(lives=_world(), data=st.data())
def test_what_lacks_is_found_whatever_the_order_the_restarts_and_the_copies(
    client: Client, lives: list[list[Sent]], data: st.DataObject
) -> None:
    lines = [line for came in lives for line in came]
    copies = data.draw(st.lists(st.sampled_from(lines), max_size=10))
    shuffled = data.draw(st.permutations(lines + copies))
    found = _gaps(client, shuffled)
    assert Counter(
        (gap.pid, gap.frontend, gap.after_counter, gap.before_counter, gap.missing) for gap in found
    ) == _lacking(lives)


@PROPERTY
@given(data=st.data())
def test_a_gap_belongs_to_each_period_that_it_touches_and_to_no_other(
    client: Client, data: st.DataObject
) -> None:
    _, came = data.draw(_life(77, "public", T0_US))
    since_us = T0_US + data.draw(st.integers(-10, 50)) * STEP_US
    until_us = since_us + data.draw(st.integers(1, 40)) * STEP_US
    of_all = _gaps(client, came)
    touching = [gap for gap in of_all if gap.before_us >= since_us and gap.after_us < until_us]
    assert _gaps(client, came, since_us, until_us) == touching


@PROPERTY
@given(data=st.data())
def test_values_that_threads_gave_twice_hide_no_loss_and_are_none(
    client: Client, data: st.DataObject
) -> None:
    """Each line reads the counter, then adds one: who reads before the other has added reads the same."""
    counters: list[int] = []
    for burst in data.draw(st.lists(st.integers(1, 3), min_size=12, max_size=20)):
        counters += [len(counters)] * burst
    assert _gaps(client, _lines(counters)) == []
    lost = data.draw(st.sets(st.integers(1, len(counters) - 2), min_size=1, max_size=6))
    came = [line for index, line in enumerate(_lines(counters)) if index not in lost]
    credit, lacking, seen = 0, 0, Counter(line.counter for line in came)
    for counter in range(min(seen), max(seen) + 1):
        credit += seen[counter] - 1
        lacking, credit = lacking + max(0, -credit), max(0, credit)
    assert sum(gap.missing for gap in _gaps(client, came)) == lacking
    assert lacking <= len(lost)
    assert lacking + credit >= len(lost) - 2


def test_a_restart_and_a_reload_with_two_processes_at_once_are_no_gaps(client: Client) -> None:
    old = _lines(range(60), pid=77)
    new = _lines(range(60), pid=78, start_us=T0_US + 40 * STEP_US)
    again = _lines(range(60), pid=78, start_us=T0_US + 200 * STEP_US)
    assert _gaps(client, old + new + again) == []


def test_a_lost_line_is_named_by_its_neighbours_and_their_times(client: Client) -> None:
    lines = [line for line in _lines(range(10)) if line.counter not in {4, 5}]
    (gap,) = _gaps(client, lines)
    assert (gap.node, gap.pid, gap.frontend) == ("edge-1", 77, "public")
    assert (gap.after_counter, gap.before_counter, gap.missing) == (3, 6, 2)
    assert (gap.after_us, gap.before_us) == (T0_US + 3 * STEP_US, T0_US + 6 * STEP_US)


def test_two_nodes_with_one_pid_count_for_themselves(client: Client) -> None:
    here = [line for line in _lines(range(9)) if line.counter != 4]
    there = [line._replace(name=line.name + 10**6) for line in _lines(range(9), node="edge-2")]
    assert [gap.node for gap in _gaps(client, here + there)] == ["edge-1"]


def test_what_lacks_before_an_uncommitted_line_may_still_come() -> None:
    gap = Gap("edge-1", 77, "public", 3, 6, 2, T0_US, T0_US, (5 << 40) + 100)
    assert is_settled(gap, {5: (5 << 40) + 101}, 0)
    assert not is_settled(gap, {5: (5 << 40) + 100}, 0)
    assert not is_settled(gap, {}, T0_US / 1e6 + 60)
    assert is_settled(gap, {}, T0_US / 1e6 + 7200)


def test_the_counters_of_a_captured_haproxy_are_whole_when_failed_connections_are_counted_in(
    client: Client,
) -> None:
    """HAProxy 2.6 logged requests and failed connections of one frontend with one counter."""
    golden = (GOLDEN / "haproxy.jsonl").read_text("ascii").splitlines()
    fields = [json.loads(line).get("fields", {}) for line in golden]
    lines = [
        Sent(
            one["node"],
            one["pid"],
            one.get("frontend") or one["proxy"],
            one["log_counter"],
            number,
            one.get("end_us") or one["time_us"],
        )
        for number, one in enumerate(fields)
        if "log_counter" in one
    ]
    assert len(lines) > 30
    assert min(line.counter for line in lines) == 0
    assert _gaps(client, lines) == []
    requests = [line for line in lines if "rec_id" in fields[line.name]]
    assert sum(gap.missing for gap in _gaps(client, requests)) == len(lines) - len(requests)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lost=st.lists(st.tuples(st.integers(1, 29_000), st.integers(1, 9000)), max_size=3),
    twice=st.sets(st.integers(0, 29_999), max_size=3),
    restart=st.booleans(),
)
def test_long_lives_are_counted_by_blocks_and_what_lacks_is_found_all_the_same(
    client: Client, lost: list[tuple[int, int]], twice: set[int], restart: bool
) -> None:
    """Copies of lines, whole blocks that lack, and a second life are told from what is plainly whole."""
    gone = {counter for first, count in lost for counter in range(first, min(first + count, 29_999))}
    listed = ", ".join(map(str, sorted(twice))) or "0"
    spans = " OR ".join(
        f"number BETWEEN {first} AND {min(first + count, 29_999) - 1}" for first, count in lost
    )
    line = (
        "SELECT 'edge-1' AS node, toUInt32(77) AS pid, 'public' AS frontend, toInt64(number) AS log_counter, "
        "number + {life} AS line, toInt64(" + str(T0_US) + " + {life} + number * 1000) AS us, "
        "toInt64(number) AS offset FROM numbers(30000)"
    )
    parts = [line.format(life=0) + (f" WHERE NOT ({spans})" if spans else "")]
    parts.append(f"SELECT * FROM ({parts[0]}) WHERE log_counter IN ({listed})")
    if restart:
        parts.append(line.format(life=60_000_000))
    found = find_among(client, " UNION ALL ".join(parts), {"since": 0, "until": 2 * T0_US})
    left = [counter for counter in range(30_000) if counter not in gone]
    expected = {(low, high, high - low - 1) for low, high in pairwise(left) if high - low > 1}
    assert {(gap.after_counter, gap.before_counter, gap.missing) for gap in found} == expected


def test_a_whole_block_of_counters_that_lacks_between_whole_ones_is_found(client: Client) -> None:
    lines = (
        "SELECT 'n' AS node, toUInt32(1) AS pid, 'f' AS frontend, toInt64(number) AS log_counter, "
        f"number AS line, toInt64({T0_US} + number * 1000) AS us, toInt64(number) AS offset "
        f"FROM numbers({3 * BLOCK}) WHERE intDiv(number, {BLOCK}) != 1"
    )
    (gap,) = find_among(client, lines, {"since": 0, "until": 2 * T0_US})
    assert (gap.after_counter, gap.before_counter, gap.missing) == (BLOCK - 1, 2 * BLOCK, BLOCK)
