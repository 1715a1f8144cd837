"""Records through real processes and a real broker."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.jvm  # the account is the text beside the offset, which Tansu does not keep


def stored(haproxy: int, kong: int) -> Any:
    """Give the condition that so many records are stored."""
    return lambda rows: rows["haproxy"]["stored"] >= haproxy and rows["kong"]["stored"] >= kong


def test_the_corpus_through_two_ingest_and_two_join_processes_is_whole(
    world: Any, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    """One takes HAProxy's lines, the other Kong's entries; halves meet in whichever join has their partition."""
    joins = [world.start("join", ready=False), world.start("join", ready=False)]
    edge, gateway = world.start("ingest"), world.start("ingest")
    for join in joins:
        join.wait_ready()
    for first in range(0, 1600, 100):
        edge.send(*haproxy_lines[first : first + 100])
        if entries := kong_bodies[first : first + 100]:
            assert gateway.post(b"[" + b",".join(entries) + b"]") == 200
    rows = world.wait(stored(1500, 1544))
    assert rows["haproxy"]["received"] == rows["haproxy"]["stored"] == 1500
    assert rows["kong"]["received"] == rows["kong"]["stored"] == 1544
    lineages = world.lineages()
    assert len(lineages) == len({one["request_id"] for one in lineages}) == 1500
    assert {one["outcome"] for one in lineages} == {"complete"}
    assert sum(len(one["attempts"]) for one in lineages) == 1544
    shares = [set(join.status()["bus"]["partitions"]) for join in joins]
    assert shares[0] | shares[1] == {"0", "1", "2", "3"}
    assert not shares[0] & shares[1]
    assert all(process.stop() == 0 for process in (edge, gateway, *joins))
