"""Puts the lines of several files in order of time, roughly: in runs of a few hundred of one file.

Logs are written at the end of a request, so starts within a file are themselves only roughly ordered, and the
join waits far longer than a run is long. What a run is known by is the newest start seen in its file so far,
which a single long request (an old start) does not disturb, and a single wrong clock (a far one) neither.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

_Name = TypeVar("_Name")
Peek = Callable[[bytes], int | None]
"""Finds the start of a record's request, UTC epoch microseconds; None where it shows none."""

_MOST_RECORDS = 256
_LONGEST_US = 1_000_000
"""A run ends after so many records, or so much of the log's own time: a log of one request a minute is merged
as finely as one of ten thousand a second."""
_FEWEST_LOOKED_AT = 16
"""Of a run's records so many are looked at, evenly spread, and the last: where they lie within one second, it
does not matter which of them is the newest."""
_LEAP_US = 86_400_000_000
"""A start that lies further ahead is believed only where one of the next records agrees."""
_WITNESSES = 4


class Run(NamedTuple):
    """Records of one file that go together."""

    start_us: int
    """Newest start seen in the file when the run began; 0 where none was seen yet."""
    bodies: list[bytes]


def runs(blocks: Iterable[list[bytes]], peek: Peek) -> Iterator[Run]:
    """Cut the records of a file into runs; their starts never fall."""
    now_us = 0
    for bodies in blocks:
        for first in range(0, len(bodies), _MOST_RECORDS):
            some = bodies[first : first + _MOST_RECORDS]
            sample = [*some[:: len(some) // _FEWEST_LOOKED_AT or 1], some[-1]]
            newest = max([start for body in sample if (start := peek(body)) is not None], default=now_us)
            if newest <= now_us + _LONGEST_US:
                yield Run(now_us, some)
                now_us = max(now_us, newest)
            else:
                for run, run_end_us in _cut(some, [peek(body) for body in some], now_us):
                    yield run
                    now_us = run_end_us


def _cut(bodies: list[bytes], starts: list[int | None], now_us: int) -> Iterator[tuple[Run, int]]:
    """Cut records where time passes; gives each run with the newest start at its end."""
    if not now_us:
        now_us = next((start for at, start in enumerate(starts) if start and _is_credible(starts, at, 0)), 0)
    began, began_us = 0, now_us
    for at, start in enumerate(starts):
        if start is None or start <= now_us or not _is_credible(starts, at, now_us):
            continue
        if start > began_us + _LONGEST_US:
            if at > began:
                yield Run(began_us, bodies[began:at]), now_us
            began, began_us = at, start
        now_us = start
    yield Run(began_us, bodies[began:]), now_us


def _is_credible(starts: list[int | None], at: int, now_us: int) -> bool:
    """Whether time may go on to a record's start: it is near, or one of the next is not far behind it."""
    start = starts[at] or 0
    if start <= now_us + _LEAP_US:
        return True
    witnesses = starts[at + 1 : at + 1 + _WITNESSES]
    return not witnesses or any(other is not None and other >= start - _LEAP_US for other in witnesses)


def merged(streams: Iterable[tuple[_Name, int, Iterator[Run]]]) -> Iterator[tuple[_Name, Run, int]]:
    """Merge streams of runs by their starts.

    Args:
        streams: Name, start of the first run, and the runs, which are not begun before their turn comes.

    Yields:
        The name, the run, and its time: UTC epoch microseconds, never falling; of a run before any start was
        seen that of the next one that has some, else 0.
    """
    waiting: list[tuple[int, int, _Name, Iterator[Run], Run | None]] = [
        (start_us, order, name, stream, None) for order, (name, start_us, stream) in enumerate(streams)
    ]
    heapq.heapify(waiting)
    last_us = 0
    while waiting:
        start_us, order, name, stream, run = waiting[0]
        if run is not None:
            time_us = start_us or min((entry[0] for entry in waiting if entry[0]), default=0)
            last_us = max(last_us, time_us)
            yield name, run, last_us
        following = next(stream, None)
        if following is None:
            heapq.heappop(waiting)
        else:
            heapq.heapreplace(waiting, (following.start_us, order, name, stream, following))
