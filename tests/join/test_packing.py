from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pipeline.join import packing
from pipeline.join.index import Waiting
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.join.packing import Packing
from pipeline.model import EdgeRecord, GatewayRecord

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]


def _waiting(*records: EdgeRecord | GatewayRecord) -> Waiting:
    edges = tuple(record for record in records if isinstance(record, EdgeRecord))
    attempts = tuple(record for record in records if isinstance(record, GatewayRecord))
    return Waiting(0, (1,), (), edges, attempts, look_up=False, crowded=False)


def _packed(kept: Packing, waiting: Waiting) -> Waiting:
    kept.pack(waiting)
    assert all(type(half) is bytes for half in (*waiting.edges, *waiting.attempts))
    return waiting


@pytest.mark.parametrize("more", [{}, {"node": "edge-9", "server": None, "tls_cipher": "x" * 300}])
def test_what_is_packed_comes_back_as_it_was(
    edge: MakeEdge, attempt: MakeAttempt, more: dict[str, Any]
) -> None:
    kept = Packing()
    for number in range(3):
        first, second = (
            edge(f"edge-made-id-{number}", **more),
            attempt(f"{number:032x}", service=f"s{number}"),
        )
        waiting = _packed(kept, _waiting(first, second))
        kept.pack(waiting)  # what is packed stays as it is
        assert (kept.edges_of(waiting), kept.attempts_of(waiting)) == ([first], [second])


def test_more_different_words_than_are_kept_change_nothing(
    edge: MakeEdge, attempt: MakeAttempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_MOST_SHARED", 2)
    kept = Packing()
    records = [(edge(node=f"edge-{number}"), attempt(service=f"s{number}")) for number in range(5)]
    packed = [_packed(kept, _waiting(*pair)) for pair in records]
    assert [(kept.edges_of(one)[0], kept.attempts_of(one)[0]) for one in packed] == records
    assert [kept.salvaged(one)[0][0].node for one in packed] == [first.node for first, _ in records]
    assert [kept.salvaged(one)[1][0].service for one in packed] == [second.service for _, second in records]


def test_a_value_of_a_wrong_type_is_told_and_can_still_be_salvaged(edge: MakeEdge) -> None:
    kept = Packing()
    wrong = edge(client_ip=7)
    waiting = _packed(kept, _waiting(wrong))
    with pytest.raises(msgspec.MsgspecError):
        kept.edges_of(waiting)
    (salvaged,) = kept.salvaged(waiting)[0]
    assert (salvaged.rec_id, salvaged.offset, str(salvaged.client_ip)) == (wrong.rec_id, wrong.offset, "7")


def test_what_cannot_be_packed_changes_nothing_and_costs_its_neighbours_nothing(
    edge: MakeEdge, attempt: MakeAttempt
) -> None:
    pair = edge(), attempt(path="\ud800")
    waiting = _waiting(*pair)
    with pytest.raises(UnicodeEncodeError):
        Packing().pack(waiting)
    assert waiting == _waiting(*pair)
    joiner = Joiner(JoinLimits(30 * 10**9, 1000, 8, max_unpacked=0))
    for number, path in enumerate(["/before", "\ud800", "/after"]):
        joiner.add(edge(f"edge-made-id-{number}", path=path), 0)
    assert joiner.due(0) == []
    assert joiner.pending == 2
    assert [group.edges[0].path for group in joiner.take_broken()] == ["\ud800"]
    assert [group.edges[0].path for group in joiner.flush()] == ["/before", "/after"]


def test_halves_that_came_last_are_held_as_they_came(edge: MakeEdge) -> None:
    joiner = Joiner(JoinLimits(30 * 10**9, 1000, 8, max_unpacked=3))
    sizes = []
    for number in range(6):
        joiner.add(edge(f"edge-made-id-{number}"), 0)
        assert joiner.due(0) == []
        sizes.append(joiner.pending_bytes)
    grown = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(grown[2:]) < min(grown[:2]) / 2
