"""An estimate of the clocks is stored beside a lineage, and makes no row different."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.model import EdgeRecord, GatewayRecord, OutcomeKind

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]
T0_US = 1_795_460_243_000_000


async def _give(process: Any, edge: MakeEdge, attempt: MakeAttempt, numbers: range, offset_ms: int) -> None:
    for n in numbers:
        request_id, start_us = f"edge-made-id-{n:04}", T0_US + n * 1000
        await process.give(edge(request_id, node="edge-1", gateway_request_id=f"kong-{n}", start_us=start_us))
        moved_us = start_us + 2000 + offset_ms * 1000
        await process.give(attempt(f"kong-{n}", request_id, node="192.0.2.7", started_us=moved_us))


async def test_nodes_400_ms_apart_are_flagged_and_every_logged_time_is_kept(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    await _give(process, edge, attempt, range(20), 400)
    await process.read_empty()
    for row in process.store.lineages:
        assert row.clock_offset_ms == pytest.approx(400, abs=3)
        assert "clock_skew" in row.flags
        assert row.attempts[0].started_us - row.edge.start_us == 402_000


async def test_another_estimate_makes_no_stored_row_different(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    await _give(process, edge, attempt, range(20), 400)
    await process.read_empty()
    before = {row.request_id: row for row in process.store.lineages}
    await _give(process, edge, attempt, range(20), 400)
    await _give(process, edge, attempt, range(100, 180), -30)
    await process.read_empty()
    after = {row.request_id: row for row in process.store.lineages}
    assert {name: after[name] for name in before} == before
    assert process.left()[OutcomeKind.DUPLICATE, ""] == 40


async def test_a_half_that_comes_late_brings_the_estimate_with_it(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    await process.give(edge("edge-made-id-late", node="edge-1", gateway_request_id="kong-late"))
    await process.read_empty()
    (alone,) = process.store.lineages
    assert alone.clock_offset_ms is None
    await _give(process, edge, attempt, range(20), 400)
    await process.give(attempt("kong-late", "edge-made-id-late", node="192.0.2.7"), after_s=90)
    await process.read_empty()
    (row,) = [row for row in process.store.lineages if row.request_id == "edge-made-id-late"]
    assert row.outcome == "complete"
    assert row.clock_offset_ms == pytest.approx(400, abs=3)
