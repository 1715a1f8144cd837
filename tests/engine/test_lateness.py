from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.engine.lateness import Lateness, spread_document
from pipeline.model import EdgeRecord, GatewayRecord, Source, Timers

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]
T0_NS = 1_795_460_243_000_000_000


async def _life(process: Any, *records: EdgeRecord | GatewayRecord, seconds: list[float]) -> Lateness:
    """Let records come one read after the other."""
    engine = process.engine()
    for record, after_s in zip(records, seconds, strict=True):
        await process.give(record, after_s=after_s)
        for delivery in await process.bus.read(10, 0):
            engine._parse.parse(delivery, engine.joiner.add, process.draft())
        engine._sample()
    return engine.progress.lateness


async def test_a_record_is_as_late_as_it_comes_after_the_end_that_it_logs(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    half = edge("edge-made-id-0001", timers=Timers(0, 0, 1, 5, 0, 500, 0, 0))
    slow = attempt("kong-1", "edge-made-id-0001", started_us=T0_NS // 1000, request_ms=1500.0)
    late = (await _life(process, half, slow, seconds=[2.5, 61.5])).arrivals()
    assert late[Source.HAPROXY].by_quantile[1.0] == pytest.approx(2.0)
    assert late[Source.KONG].by_quantile[1.0] == pytest.approx(60.0)


async def test_a_clock_that_runs_ahead_shows_as_less_than_nothing(process: Any, edge: MakeEdge) -> None:
    late = (await _life(process, edge("edge-made-id-0001"), seconds=[-3.0])).arrivals()
    assert late[Source.HAPROXY].by_quantile[0.5] == pytest.approx(-3.008)


@pytest.mark.parametrize("second", list(Source))
async def test_the_second_half_is_as_late_as_the_first_one_waited(
    process: Any, edge: MakeEdge, attempt: MakeAttempt, second: Source
) -> None:
    halves = [edge("edge-made-id-0001"), attempt("kong-1", "edge-made-id-0001")]
    if second is Source.HAPROXY:
        halves.reverse()
    waits = (await _life(process, *halves, seconds=[1.0, 8.5])).second_halves()
    assert {source: spread.by_quantile[1.0] for source, spread in waits.items()} == {second: 7.5}


def test_quantiles_are_of_the_newest_thousand(edge: MakeEdge) -> None:
    lateness = Lateness()
    record = edge("edge-made-id-0001", timers=Timers(Ta=0))
    for after_s in (*[9999] * 500, *range(1000)):
        lateness.arrived(record, T0_NS + after_s * 10**9)
    assert spread_document(lateness.arrivals()[Source.HAPROXY]) == {
        "p50": 500, "p90": 899, "p99": 989, "max": 999, "samples": 1000,
    }  # fmt: skip
    assert spread_document(lateness.arrivals().get(Source.KONG)) is None
