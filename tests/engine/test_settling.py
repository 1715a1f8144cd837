"""What closes is settled at once, and what comes after it meets its row whether that is stored yet or not."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.contracts import Batch
from pipeline.engine import EngineLimits
from pipeline.model import DeadLetter, EdgeRecord, GatewayRecord, OutcomeKind
from pipeline.sinks.memory import MemoryStore

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]


class _Watched(MemoryStore):
    """Remembers how the rows of each batch came."""

    def __init__(self, *, is_shared: bool = False) -> None:
        super().__init__(is_shared=is_shared)
        self.came: list[tuple[int, int]] = []

    async def write(self, batch: Batch) -> list[DeadLetter]:
        self.came.append((sum(map(len, batch.packed)), len(batch.lineages)))
        return await super().write(batch)


async def test_a_pair_waits_as_a_packed_row_and_a_late_attempt_of_the_same_batch_is_united_with_it(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    process.store = _Watched()
    await process.give(edge("request-1"), attempt("kong-1", "request-1"))
    await process.give(edge("request-2"), attempt("kong-2", "request-2"))
    await process.give(attempt("kong-3", "request-1"))
    engine = await process.read_empty()
    assert process.store.came == [(2, 1)]
    one, two = sorted(process.store.lineages, key=lambda row: row.request_id)
    assert [kept.gateway_request_id for kept in one.attempts] == ["kong-1", "kong-3"]
    assert len(two.attempts) == 1
    assert process.left() == {(OutcomeKind.STORED, ""): 5}
    assert engine.progress.lineages_written["complete"] == 3


async def test_a_copy_of_what_waits_packed_is_a_duplicate(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    process.store = _Watched()
    first = attempt("kong-1", "request-1")
    await process.give(edge("request-1"), first, first)
    await process.read_empty()
    assert process.store.came[0][0] == 1
    assert len(process.store.lineages) == 1
    assert process.left() == {(OutcomeKind.STORED, ""): 2, (OutcomeKind.DUPLICATE, ""): 1}


@pytest.mark.parametrize(("is_shared", "came"), [(False, (1, 0)), (True, (0, 1))])
async def test_a_half_alone_is_kept_before_it_is_settled_where_others_write_too(
    process: Any, edge: MakeEdge, *, is_shared: bool, came: tuple[int, int]
) -> None:
    process.store = _Watched(is_shared=is_shared)
    await process.give(edge("request-1"))
    await process.read_empty()
    assert process.store.came == [came]


class _Spans:
    """Takes note of the rows that it is shown before they are written."""

    def __init__(self, store: _Watched) -> None:
        self.kept, self._store = 0, store

    async def keep(self, closed: Any, shown: Any) -> None:
        assert not self._store.came
        self.kept += len(closed) + len(shown)


async def test_where_spans_are_sent_rows_wait_until_they_are_made(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    process.store = _Watched()
    spans = _Spans(process.store)
    await process.give(edge("request-1"), attempt("kong-1", "request-1"))
    await process.read_empty(spans=spans)
    assert spans.kept == 1
    assert process.store.came == [(0, 1)]


async def test_what_waits_at_the_end_of_a_file_is_written_in_batches(process: Any, edge: MakeEdge) -> None:
    process.store = _Watched()
    await process.give(*(edge(f"request-{number:04}") for number in range(2500)))
    await process.read_empty()
    assert [sum(one) for one in process.store.came] == [1000, 1000, 500]
    assert process.left() == {(OutcomeKind.STORED, ""): 2500}


@pytest.mark.parametrize(("batch_bytes", "batches"), [(2**30, 1), (50_000, 3)])
async def test_a_batch_is_written_when_its_rows_are_large_however_few_they_are(
    process: Any, edge: MakeEdge, attempt: MakeAttempt, batch_bytes: int, batches: int
) -> None:
    process.store = _Watched()
    for number in range(1250):
        await process.give(edge(f"request-{number}"), attempt(f"kong-{number}", f"request-{number}"))
    await process.read_empty(limits=EngineLimits(100_000, 60.0, batch_bytes))
    assert len(process.store.came) == batches
    assert sum(map(sum, process.store.came)) == 1250
