"""A constant id costs a bounded look-up after a restart, and ties no strangers together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from pipeline.contracts import MOST_PER_ID, LookupKey
from pipeline.engine.faults import Faults
from pipeline.engine.recall import Recall
from pipeline.join.group import Closed, Group
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, OutcomeKind
from pipeline.sinks.memory import MemoryStore

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]
CONSTANT = "a-constant-of-the-configuration"
T0_US = 1_795_460_243_000_000


class _Counting(MemoryStore):
    """Counts the rows that look-ups give."""

    most = 0

    async def find_stored(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[Lineage]:
        found = await super().find_stored(keys, most_per_id=most_per_id)
        self.most = max(self.most, len(found))
        return found


@pytest.fixture
async def full(process: Any, edge: MakeEdge) -> Any:
    """A store with 500 rows under one id, from a life before."""
    process.store = _Counting()
    process.most_per_key = 16
    records = [edge(CONSTANT, node=f"edge-{n}", start_us=T0_US + n) for n in range(500)]
    await process.give(*records)
    await process.read_empty()
    assert len(process.store.lineages) == 500
    process.store.most = 0
    return process


async def test_after_a_restart_a_constant_id_is_looked_up_up_to_a_cap(full: Any, edge: MakeEdge) -> None:
    await full.give(edge(CONSTANT, node="edge-new", start_us=T0_US + 900))
    await full.read_empty()
    assert 0 < full.store.most <= 18
    assert len(full.store.lineages) == 501
    (new,) = [row for row in full.store.lineages if row.edge and row.edge.node == "edge-new"]
    assert "constant_id" in new.flags


async def test_it_is_not_joined_on_and_key_b_still_joins(
    full: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    await full.give(attempt("kong-stranger", CONSTANT))
    await full.give(edge(CONSTANT, node="edge-new", gateway_request_id="kong-own"))
    await full.give(attempt("kong-own", CONSTANT))
    await full.read_empty()
    by_gateway_id = {
        one.gateway_request_id: row for row in full.store.lineages for one in row.attempts if row.attempts
    }
    assert by_gateway_id["kong-own"].edge.node == "edge-new"
    assert by_gateway_id["kong-stranger"].edge is None
    assert len(full.store.lineages) == 502


async def test_a_copy_of_a_row_under_a_constant_id_is_still_a_duplicate(full: Any, edge: MakeEdge) -> None:
    await full.give(edge(CONSTANT, node="edge-499", start_us=T0_US + 499))
    await full.read_empty()
    assert full.left() == {(OutcomeKind.STORED, ""): 500, (OutcomeKind.DUPLICATE, ""): 1}
    assert len(full.store.lineages) == 500


async def test_the_found_out_constant_gathers_nobody_in_memory(
    full: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    await full.give(attempt("kong-1", CONSTANT))
    await full.read_empty()
    full.joiner.add(edge(CONSTANT, node="edge-later"), T0_US * 1000)
    full.joiner.add(attempt("kong-later", CONSTANT), T0_US * 1000)
    groups = full.joiner.flush()
    assert [len(group.edges) + len(group.attempts) for group in groups] == [1, 1]


async def test_a_request_of_its_own_keeps_its_id_beside_a_constant_of_the_clients(
    full: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    await full.give(edge("edge-made-id-0001"))
    await full.read_empty()
    await full.give(attempt("kong-1", CONSTANT, "edge-made-id-0001"))
    await full.read_empty()
    (row,) = [row for row in full.store.lineages if row.request_id == "edge-made-id-0001"]
    assert row.outcome == "complete"


@pytest.mark.parametrize(
    ("closed", "is_shared", "is_asked"),
    [
        ("window", True, True),
        ("evicted", True, True),
        ("complete", True, False),
        ("window", False, False),
        ("evicted", False, False),
    ],
)
async def test_in_a_store_of_several_whatever_lacks_a_half_is_looked_up(
    edge: MakeEdge, closed: Closed, is_shared: bool, is_asked: bool
) -> None:
    async def once(act: Callable[[], Awaitable[Any]]) -> Any:
        return await act()

    recall = Recall(MemoryStore(is_shared=is_shared), once, Faults(), 64, lambda _: None)
    recalled = await recall.of([Group([edge("edge-made-id-0001")], [], closed, look_up=False)])
    assert (0 in recalled.rows) is is_asked
