from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.join.clocks import Bounds, ClockOffsets, bounds_of
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Timers

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]
T0_US = 1_795_460_243_000_000


@pytest.fixture
def pair(edge: MakeEdge, attempt: MakeAttempt) -> Callable[..., Lineage]:
    """Make a proven lineage between two nodes whose clocks differ by so many milliseconds."""

    def make(offset_ms: float, number: int = 0, gateway: str = "192.0.2.7", **fields: object) -> Lineage:
        request_id, gateway_id = f"edge-made-id-{number:06}", f"{number:032x}"
        start_us = T0_US + number * 1_000_000
        (row,) = resolve(
            [
                edge(
                    request_id,
                    **({"node": "edge-1", "gateway_request_id": gateway_id, "start_us": start_us} | fields),
                    timers=Timers(1, 0, 1, 16, 2, 20, 0, 0),
                )
            ],
            [
                attempt(
                    gateway_id,
                    request_id,
                    node=gateway,
                    started_us=start_us + 3000 + int(offset_ms * 1000),
                    request_ms=16.0,
                )
            ],
        )
        return row

    return make


def test_an_offset_is_learnt_from_proven_pairs_and_put_into_what_is_joined(
    pair: Callable[..., Lineage],
) -> None:
    clocks = ClockOffsets()
    clocks.learn([pair(400.0, number) for number in range(20)])
    assert clocks.estimate_ms("edge-1", "192.0.2.7") == pytest.approx(400.0, abs=2.0)
    late = pair(400.0, 99)
    clocks.mark([late])
    assert late.clock_offset_ms == clocks.estimate_ms("edge-1", "192.0.2.7")
    assert "clock_skew" in late.flags
    assert (late.edge.start_us, late.attempts[0].started_us) == (T0_US + 99_000_000, T0_US + 99_403_000)  # type: ignore[union-attr] # it has one


def test_clocks_that_ntp_keeps_are_not_flagged(pair: Callable[..., Lineage]) -> None:
    clocks = ClockOffsets()
    clocks.learn([pair(3.0, number) for number in range(20)])
    row = pair(3.0, 99)
    clocks.mark([row])
    assert row.clock_offset_ms == pytest.approx(3.0, abs=2.0)
    assert "clock_skew" not in row.flags


def test_two_in_five_samples_may_be_wrong_altogether(pair: Callable[..., Lineage]) -> None:
    wild = random.Random(7)
    offsets = [wild.uniform(-1e7, 1e7) if number % 5 < 2 else -250.0 for number in range(400)]
    clocks = ClockOffsets()
    for first in range(0, 400, 40):
        clocks.learn([pair(offset, first + n) for n, offset in enumerate(offsets[first : first + 40])])
    assert clocks.estimate_ms("edge-1", "192.0.2.7") == pytest.approx(-250.0, abs=2.0)


def test_a_clock_that_is_set_right_is_followed(pair: Callable[..., Lineage]) -> None:
    clocks = ClockOffsets()
    for _ in range(4):
        clocks.learn([pair(400.0, number) for number in range(40)])
    for batch in range(4):
        clocks.learn([pair(-1.0, 1000 + batch * 40 + number) for number in range(40)])
    assert clocks.estimate_ms("edge-1", "192.0.2.7") == pytest.approx(-1.0, abs=2.0)


def test_each_pair_of_nodes_has_its_own_and_their_number_is_bounded(pair: Callable[..., Lineage]) -> None:
    clocks = ClockOffsets()
    for node in range(1100):
        clocks.learn([pair(float(node), number, gateway=f"gateway-{node}") for number in range(5)])
    assert clocks.estimate_ms("edge-1", "gateway-1099") == pytest.approx(1099.0, abs=2.0)
    assert clocks.estimate_ms("edge-1", "gateway-0") is None
    assert len(clocks._samples) == len(clocks._estimates) == 1000


@pytest.mark.parametrize(
    "fields",
    [{"gateway_request_id": None}, {"node": None}, {"retries": 1}],
    ids=["not proven", "no name", "retried"],
)
def test_what_proves_little_teaches_nothing(pair: Callable[..., Lineage], fields: dict[str, object]) -> None:
    clocks = ClockOffsets()
    clocks.learn([pair(400.0, number, **fields) for number in range(50)])
    assert not clocks._estimates


def test_four_samples_are_no_estimate(pair: Callable[..., Lineage]) -> None:
    clocks = ClockOffsets()
    clocks.learn([pair(400.0, number) for number in range(4)])
    row = pair(400.0, 99)
    clocks.mark([row])
    assert row.clock_offset_ms is None


def test_an_estimate_that_a_row_carries_is_kept(pair: Callable[..., Lineage]) -> None:
    clocks = ClockOffsets()
    clocks.learn([pair(400.0, number) for number in range(5)])
    row = pair(400.0, 99)
    clocks.mark([row])
    clocks.learn([pair(-90.0, 100 + number) for number in range(65)])
    clocks.mark([row])
    assert row.clock_offset_ms == pytest.approx(400.0, abs=2.0)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_nearest_offset_keeps_the_attempt_within_the_edges_interval(
    low: float, high: float, offset: float
) -> None:
    bounds = Bounds(low, high)
    nearest = bounds.nearest(offset)
    assert min(low, high) <= nearest <= max(low, high)
    if low <= offset <= high:
        assert nearest == offset


def test_an_edge_record_that_never_ended_bounds_nothing(edge: MakeEdge, attempt: MakeAttempt) -> None:
    assert bounds_of(edge(timers=Timers(0, 0, 0, None, None, None)), attempt()) is None


def test_a_retry_says_nothing_of_when_the_request_was_sent(edge: MakeEdge, attempt: MakeAttempt) -> None:
    timers = Timers(2, 3, 1000, 6, 0, 1011, 0, 0)
    late = attempt(started_us=T0_US + 1_005_000, request_ms=6.0)
    assert bounds_of(edge(timers=timers), late) == Bounds(0.0, 0.0)
    assert bounds_of(edge(timers=timers, retries=1), late) == Bounds(0.0, 1000.0)
