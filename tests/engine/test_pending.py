"""What waits for its other half is shown as pending meanwhile, and counts as nothing until it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.bus.journal import open_journal
from pipeline.engine import Engine
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, OutcomeKind

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]
T0_NS = 1_795_460_243_000_000_000
STORED = {(OutcomeKind.STORED, ""): 2}
DUPLICATE = (OutcomeKind.DUPLICATE, "")


@pytest.fixture
def process(new_process: Callable[..., Any]) -> Any:
    return new_process(show_after_s=5.0)


@asynccontextmanager
async def running(process: Any) -> AsyncIterator[Callable[..., Any]]:
    """Run an engine; gives what turns the clock and waits until the store is as wanted."""
    engine: Engine = process.engine(event_time=False)
    task = asyncio.create_task(engine.run())

    async def at(second: float, is_so: Callable[[list[Lineage]], bool]) -> list[Lineage]:
        process.clock.turn_to(T0_NS + int(second * 1e9))
        async with asyncio.timeout(30):
            while not is_so(process.store.lineages):
                assert not task.done(), task
                await asyncio.sleep(0.01)  # between two looks, not instead of one
        return list(process.store.lineages)

    try:
        yield at
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _is(missing: str | None, final: bool) -> Callable[[list[Lineage]], bool]:
    return lambda rows: [(row.missing, row.final) for row in rows] == [(missing, final)]


@pytest.mark.parametrize("first", ["edge", "attempt"])
async def test_a_half_is_shown_after_a_while_and_replaced_when_the_other_comes(
    process: Any, edge: MakeEdge, attempt: MakeAttempt, first: str
) -> None:
    halves = [edge("edge-made-id-0001"), attempt("kong-1", "edge-made-id-0001")]
    if first == "attempt":
        halves.reverse()
    async with running(process) as at:
        await process.give(halves[0])
        (shown,) = await at(6, _is("pending", final=False))
        assert shown.rev == 2
        assert not any(process.bus.account().outcomes.values())
        await process.give(halves[1], after_s=8)
        (row,) = await at(9, _is(None, final=True))
    assert (row.outcome, row.match, row.flags) == ("complete", "matched", ())
    assert row.rev > shown.rev
    assert process.left() == STORED


async def test_nothing_is_shown_before_its_time(process: Any, edge: MakeEdge) -> None:
    async with running(process) as at:
        await process.give(edge("edge-made-id-0001"))
        await at(4.9, lambda _: process.joiner.pending == 1)
        await asyncio.sleep(0.3)  # three idle turns of the loop, in which it might be written
        assert process.store.lineages == []
        await at(5.1 + 1, _is("pending", final=False))


async def test_a_window_that_ends_makes_it_final_with_its_reason(process: Any, edge: MakeEdge) -> None:
    async with running(process) as at:
        await process.give(edge("edge-made-id-0001"))
        await at(6, _is("pending", final=False))
        (row,) = await at(31, _is("gateway_log_lost", final=True))
        assert row.flags == ()
    assert process.left() == {(OutcomeKind.STORED, ""): 1}


async def test_attempts_that_wait_together_are_one_row_and_are_absorbed(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    async with running(process) as at:
        await process.give(*(attempt(f"kong-{n}", "edge-made-id-0001", status=503) for n in range(3)))
        (shown,) = await at(6, _is("pending", final=False))
        assert len(shown.attempts) == 3
        await process.give(edge("edge-made-id-0001", retries=2, gateway_request_id="kong-2"), after_s=7)
        (row,) = await at(8, _is(None, final=True))
    assert (row.outcome, len(row.attempts), row.match) == ("complete", 3, "proven")


async def test_zero_shows_nothing(process: Any, edge: MakeEdge) -> None:
    process.show_after_s = 0.0
    async with running(process) as at:
        await process.give(edge("edge-made-id-0001"))
        await at(29, lambda _: process.joiner.pending == 1)
        await asyncio.sleep(0.3)  # three idle turns of the loop, in which it might be written
        assert process.store.lineages == []
        await at(31, _is("gateway_log_lost", final=True))


async def test_a_replay_of_files_shows_nothing(process: Any, edge: MakeEdge) -> None:
    await process.give(edge("edge-made-id-0001"), after_s=0)
    await process.give(edge("edge-made-id-0002", node="b"), after_s=20)
    engine = await process.read_empty(event_time=True)
    assert engine.progress.lineages_written == {"edge_only": 2}


async def test_a_restart_finds_it_stored_and_counts_it_once(
    process: Any, edge: MakeEdge, attempt: MakeAttempt, tmp_path: Any
) -> None:
    """The bus is a journal, so that the second process reads again what the first had not committed."""
    async with open_journal(tmp_path / "journal", 2**24, None) as process.bus, running(process) as at:
        await process.give(edge("edge-made-id-0001"))
        await at(6, _is("pending", final=False))
    async with open_journal(tmp_path / "journal", 2**24, None) as process.bus:
        async with running(process) as at:
            await process.give(attempt("kong-1", "edge-made-id-0001"), after_s=8)
            await process.give(attempt("kong-1", "edge-made-id-0001"), after_s=9)
            (row,) = await at(10, _is(None, final=True))
            assert row.flags == ()
            async with asyncio.timeout(30):
                while any(process.bus.account().pending.values()):
                    process.clock.turn_to(process.clock.now_ns() + 10**9)
                    await asyncio.sleep(0.01)  # between two looks, not instead of one
        assert process.left() == STORED | {DUPLICATE: 1}


async def test_so_much_is_shown_in_a_second_and_no_more(process: Any, edge: MakeEdge) -> None:
    async with running(process) as at:
        await process.give(*(edge(f"edge-made-id-{n:04}") for n in range(2500)))
        await at(0, lambda _: process.joiner.pending == 2500)
        for second, most in ((6, 1000), (7.1, 2000), (8.2, 2500)):
            rows = await at(second, lambda rows: len(rows) >= most)  # noqa: B023 -- asked at once
            assert len(rows) == most
        assert {row.missing for row in rows} == {"pending"}
