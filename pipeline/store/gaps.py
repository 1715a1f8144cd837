"""Lines that HAProxy wrote and that never came: gaps of its log counter, by SQL over what is stored.

`%lc` counts the lines that one process logs for one frontend, from 0: requests and failed connections; not
what is silenced (`set-log-level silent`, `dontlognull`), but what a target's level or `sample` leaves out.
Measured with HAProxy 2.6: with several threads a value may come twice and the next is then left out, always in
that order. So values that repeat are credit against values that lack, and what lacks beyond it was lost. The
count is exact; which of the values around it is it, is not.

A process whose counter falls back began anew under the same number (containers do): a line with a counter
no higher than that of a line logged a second and more before it starts another life of the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from clickhouse_connect.driver import Client

from pipeline.store.gap_queries import BLOCK, BLOCKS, COUNTERS, OF_BLOCKS, PROCESSES, filled, gaps_query

_SECOND_US = 10**6
_HOUR_S = 3600
REACH_S = _HOUR_S
"""How much earlier than it was logged a request has begun, as a rule."""
_FAR_S = 25 * _HOUR_S
_MOST_BLOCKS = 256
"""Looked at line by line in one query: a million lines."""

MOST_GAPS = 1000
"""Shown of one period; more are counted."""


class Gap(NamedTuple):
    """Lines that one process counted for one frontend and that are not stored."""

    node: str
    pid: int
    frontend: str
    after_counter: int
    """The counter of the line before."""
    before_counter: int
    """The counter of the line behind; between the two `missing` lines lack, or just before them."""
    missing: int
    after_us: int
    """When the line before was logged, UTC epoch microseconds."""
    before_us: int
    offset: int
    """Bus offset of the line behind: once it is committed, what lacks will not come any more."""


class Process(NamedTuple):
    """Lines of one process for one frontend in a period, as far as they carry a counter."""

    node: str
    pid: int
    frontend: str
    lines: int
    first_counter: int
    last_counter: int


def find_gaps(client: Client, since_s: int, until_s: int, *, around_s: int | None = None) -> list[Gap]:
    """Give the gaps that touch a period, in the order of time; at most one more than `MOST_GAPS`.

    Lines around the period are looked at as well, so that its edges are no gaps. A request is stored by its
    start and counted at its end: where something lacks, requests that began a day earlier are looked through.

    Args:
        client: Of the store.
        since_s: Begin of the period, UTC epoch seconds.
        until_s: Its end.
        around_s: Look no further around than so many seconds, and at no request of more than an hour: where
            it matters more that the answer comes soon.
    """
    near = _stretch(since_s, until_s, REACH_S, REACH_S if around_s is None else around_s)
    found = find_among(client, COUNTERS, near)
    if found and around_s is None:
        found = find_among(client, COUNTERS, _stretch(since_s, until_s, _FAR_S, _FAR_S))
    return found


def find_among(client: Client, counters: str, parameters: Mapping[str, Any]) -> list[Gap]:
    """Give the gaps among some lines.

    Counters are counted by blocks first, which costs little; blocks that are not plainly whole are looked at
    line by line, a million lines at a time.

    Args:
        client: Of the store.
        counters: As of `gaps_query`.
        parameters: Those of `counters`, and the period: `since` and `until`, UTC epoch microseconds.
    """
    blocks = [Block(*row) for row in client.query(filled(BLOCKS, counters), dict(parameters)).result_rows]
    found: dict[tuple[str, int, str, int, int], Gap] = {}
    for chosen in _chunks(blocks):
        asked = dict(parameters) | {"blocks": _with_neighbours(blocks, chosen), "most": MOST_GAPS + 1}
        for row in client.query(gaps_query(OF_BLOCKS.replace("{counters}", counters)), asked).result_rows:
            gap = Gap(str(row[0]), int(row[1]), str(row[2]), *map(int, row[3:]))
            at = gap.before_counter // BLOCK
            key = (gap.node, gap.pid, gap.frontend)
            if (*key, at) in chosen or (*key, at - 1) in chosen:
                found[(*key, gap.before_counter, gap.before_us)] = gap
    return sorted(found.values(), key=lambda gap: (gap.before_us, *gap))[: MOST_GAPS + 1]


class Block(NamedTuple):
    """Lines of one process and frontend whose counters are near each other."""

    node: str
    pid: int
    frontend: str
    number: int
    name: int
    had: int
    """Different counters."""
    lines: int
    low: int
    high: int
    first_us: int
    last_us: int

    @property
    def key(self) -> tuple[str, int, str]:
        """Whose they are."""
        return self.node, self.pid, self.frontend


def _chunks(blocks: Sequence[Block]) -> Iterator[set[tuple[str, int, str, int]]]:
    """Give the blocks to look at line by line; those of a process that began anew together."""
    chosen: set[tuple[str, int, str, int]] = set()
    for key, group in groupby(blocks, key=lambda block: block.key):
        of_key = list(group)
        again = any(low.last_us > high.first_us + _SECOND_US for low, high in pairwise(of_key))
        for index, block in enumerate(of_key):
            if again or not _is_whole(of_key, index):
                chosen.add((*key, block.number))
            if len(chosen) >= _MOST_BLOCKS and not again:
                yield chosen
                chosen = set()
    if chosen:
        yield chosen


def _is_whole(of_key: Sequence[Block], index: int) -> bool:
    """Whether every counter of a block came once; before the first line and behind the last there is none."""
    block = of_key[index]
    low = block.low if index == 0 else block.number * BLOCK
    high = block.high if index == len(of_key) - 1 else block.number * BLOCK + BLOCK - 1
    follows = index == 0 or of_key[index - 1].number == block.number - 1
    return follows and block.had == block.lines == high - low + 1


def _with_neighbours(blocks: Sequence[Block], chosen: set[tuple[str, int, str, int]]) -> list[int]:
    """Name the chosen blocks and those beside them, where a gap begins or ends."""
    names = []
    for index, block in enumerate(blocks):
        around = blocks[max(0, index - 1) : index + 2]
        if any(other.key == block.key and (*other.key, other.number) in chosen for other in around):
            names.append(block.name)
    return names


def processes(client: Client, since_s: int, until_s: int) -> list[Process]:
    """Give the processes whose lines with a counter were logged in a period."""
    query = filled(PROCESSES, COUNTERS)
    rows = client.query(query, _stretch(since_s, until_s, REACH_S, 0)).result_rows
    return [Process(str(row[0]), int(row[1]), str(row[2]), *map(int, row[3:])) for row in rows]


class EdgeLoss(NamedTuple):
    """What HAProxy's own counting says of a period."""

    gaps: list[Gap]
    dropped: int
    """Lines that it says it threw away itself ("N events dropped"); they lack among its counters as well."""


def edge_loss(client: Client, since_s: int, until_s: int, *, around_s: int | None = None) -> EdgeLoss:
    """Give gaps and drop notices of a period, UTC epoch seconds; `around_s` as of `find_gaps`."""
    dropped = client.query(
        "SELECT sum(count) FROM edge_events WHERE kind = 'events_dropped' "
        "AND arrival_time >= toDateTime({since:Int64}, 'UTC') AND arrival_time < toDateTime({until:Int64}, 'UTC')",
        {"since": since_s, "until": until_s},
    ).result_rows[0][0]
    return EdgeLoss(find_gaps(client, since_s, until_s, around_s=around_s), int(dropped or 0))


def is_settled(gap: Gap, committed: Mapping[int, int], now_s: float) -> bool:
    """Whether what lacks can no longer be on its way.

    Args:
        gap: Of stored lines.
        committed: By bus (its offsets divided by 2**40), the committed offset.
        now_s: For buses that say no such thing: UTC epoch seconds.
    """
    done = committed.get(gap.offset >> 40)
    if done is None:
        return now_s - gap.before_us / _SECOND_US > _HOUR_S
    return gap.offset < done


def shown_time(us: int) -> str:
    """Write UTC epoch microseconds as RFC 3339."""
    return (
        datetime.fromtimestamp(us / _SECOND_US, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def gap_document(gap: Gap) -> dict[str, Any]:
    """Write a gap in the words of `docs/ledger.md`."""
    return {
        "node": gap.node or None,
        "pid": gap.pid or None,
        "frontend": gap.frontend or None,
        "missing": gap.missing,
        "after_counter": gap.after_counter,
        "before_counter": gap.before_counter,
        "after": shown_time(gap.after_us),
        "before": shown_time(gap.before_us),
    }


def _stretch(since_s: int, until_s: int, reach_s: int, around_s: int) -> dict[str, int]:
    return {
        "first": max(0, since_s - around_s - reach_s),
        "last": until_s + around_s + _HOUR_S,
        "begin": (since_s - around_s) * _SECOND_US,
        "end": (until_s + around_s) * _SECOND_US,
        "since": since_s * _SECOND_US,
        "until": until_s * _SECOND_US,
    }
