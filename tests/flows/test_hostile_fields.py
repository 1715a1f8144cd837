"""Whatever a field of a line or an entry holds, the record leaves once, and no fault of ours is met."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.document import lineage_document
from pipeline.model import OutcomeKind, Source
from pipeline.store.rows import encode_lineages

HOSTILE: list[Any] = [
    None, True, 0, -1, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30, -(10**30), 1.5, -0.0, 1e308, "", "-", "x", "-1",
    "9" * 20, "+2", "1e9", "NaN", "\x00", "\ud800", "é" * 300, "2026-01-01", [], [1], ["a", "b"], [None], [{}],
    {}, {"a": 1}, "sH--", "cD--", "SC--", "PR--", "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
]  # fmt: skip
LINE = [
    "tp", "node", "pid", "rt", "lc", "acc", "req_us", "end_us", "ci", "cp", "fe", "be", "srv", "Th", "Ti", "TR", "Tw",
    "Tc", "Tr", "Td", "Ta", "st", "ts", "rc", "B", "U", "m", "host", "path", "q", "hv", "ua", "kong_rid", "end",
]  # fmt: skip
MORE = {
    "consumer": {"id": "u", "username": "b"},
    "authenticated_entity": {"id": "x"},
    "route": {"name": "r"},
    "upstream_status": "200",
    "trace_id": {"w3c": "a" * 32},
}


def _spoil(tree: Any, rng: random.Random) -> None:
    """Put hostile values into an entry, anywhere in its tree."""
    for _ in range(rng.randrange(1, 4)):
        name = rng.choice(list(tree))
        inner = tree[name]
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            inner = inner[0]
        if isinstance(inner, dict) and inner and rng.random() < 0.7:
            _spoil(inner, rng)
        else:
            tree[name] = copy.deepcopy(rng.choice(HOSTILE))


def _requests(
    edge_line: Callable[..., bytes], kong_entry: Callable[..., dict[str, object]], rng: random.Random
) -> list[tuple[Source, bytes, float]]:
    deliveries = []
    for number in range(200):
        request_id, gateway_id = f"edge-made-id-{number:04}", f"{number:032x}"
        fields = {name: rng.choice(HOSTILE) for name in rng.sample(LINE, rng.randrange(4))}
        fields.setdefault("kong_rid", rng.choice(["-", gateway_id]))
        deliveries.append((Source.HAPROXY, edge_line(request_id, **fields), rng.choice([0.1, 0.2, 50.0])))
        entry = copy.deepcopy(kong_entry(gateway_id, request_id) | MORE)
        _spoil(entry, rng)
        deliveries.append((Source.KONG, json.dumps([entry]).encode(), rng.choice([0.1, 0.2, 70.0])))
    return sorted(deliveries, key=lambda delivery: delivery[2])


@pytest.mark.parametrize("seed", range(12))
def test_whatever_a_field_holds_the_record_leaves_once_and_nothing_of_ours_fails(
    river: Any, edge_line: Callable[..., bytes], kong_entry: Callable[..., dict[str, object]], seed: int
) -> None:
    river.flow(*_requests(edge_line, kong_entry, random.Random(seed)))
    left = river.bus.account().outcomes
    assert sum(left.values()) == 400
    assert not [one for one in left if one.reason in {"internal_error", "parser_error"}]
    assert river.counted(OutcomeKind.STORED) > 300
    assert encode_lineages(river.store.lineages).count(b"\n") == len(river.store.lineages)
    for row in river.store.lineages:
        assert all(phase["duration_ms"] > 0 for phase in lineage_document(row)["phases"])
