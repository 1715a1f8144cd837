"""A few hours of history: log lines as HAProxy and Kong would have written them, back-dated.

PURE: the same seed and end give the same bytes, whatever the machine.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.demo.declared import Declared
from pipeline.demo.edge_line import EdgeLines
from pipeline.demo.edge_rules import EdgeRules
from pipeline.demo.history_attempts import AttemptTeller
from pipeline.demo.history_exchange import Past, Storyteller
from pipeline.demo.history_profiles import starts
from pipeline.demo.kong_entry import entry_bytes


class Logged(NamedTuple):
    """What was logged of one request."""

    request_id: str
    """Empty where it passed the edge by."""
    edge_line: bytes | None
    """One RFC 5424 message without a line end; None where it was lost or there never was one."""
    entries: tuple[bytes, ...]
    """Kong's, oldest first; empty where lost, or where it never got there."""


def history(
    *,
    seed: int,
    end_us: int,
    span_s: int,
    count: int,
    declared: Declared,
    rules: EdgeRules,
    lines: dict[str, EdgeLines],
) -> Iterator[Logged]:
    """Make up a history, in the order in which the edge would have logged it: by the end of each request.

    Args:
        seed: Decides everything but the times' own offset.
        end_us: Every request began before it, UTC epoch microseconds.
        span_s: How far back it reaches.
        count: Requests.
        declared: Services, routes and consumers.
        rules: The edge's.
        lines: Writers by the name of the edge's node; see `EDGE_NODES`.
    """
    chance = random.Random(seed)  # noqa: S311 -- a story, no secrets
    story = Storyteller(AttemptTeller(declared, rules, chance), chance)
    first_us = end_us - span_s * 1_000_000
    pasts = [
        story.tell(start_us, (start_us - first_us) / (span_s * 1e6))
        for start_us in starts(count, end_us, span_s, chance)
    ]
    pasts.sort(key=_end_us)
    counters: Counter[str] = Counter()
    for past in pasts:
        yield _logged(past, declared, lines, counters, chance)


EDGE_NODES = ("edge-1", "edge-2")
"""Names of the nodes that a history tells of."""


def _logged(
    past: Past,
    declared: Declared,
    lines: dict[str, EdgeLines],
    counters: Counter[str],
    chance: random.Random,
) -> Logged:
    entries = tuple(entry_bytes(served, declared, chance) for served in past.attempts)
    edge = past.edge
    if edge is None:
        return Logged("", None, entries)
    edge.log_counter = edge.request_counter = counters[edge.node]
    counters[edge.node] += 1
    line = lines[edge.node].frame(edge)
    return Logged(
        edge.request_id,
        None if past.edge_line_lost else line,
        () if past.entry_lost else entries,
    )


def _end_us(past: Past) -> int:
    if past.edge is not None:
        return past.edge.end_us
    last = past.attempts[-1]
    return last.started_us + last.request_ms * 1000
