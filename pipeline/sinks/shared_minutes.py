"""Which marked minutes are to be counted, where many write to one store and each minute is one process's.  PURE.

Whoever writes to a minute marks it first, and marks it anew when it has let the minute rest and writes to it again
(`rollups`). Whoever counts it cannot know whether a writer has: so a mark stays until it is older than any writer
goes without a new one, and the minute is counted when its marks change and when one is taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from pipeline.sinks.stumbles import Stumbles
from pipeline.store.rollups import MINUTE_S

_NS = 10**9
_SETTLED_NS = 60 * _NS
"""A minute is counted when it has been over for so long, and a mark has been there for so long."""
_KEPT_NS = 900 * _NS
"""A writer marks a minute anew 660 s after it did so last, at the latest, if it still writes to it."""

Marks = Mapping[int, Mapping[int, int]]
"""By epoch minute and writer: the mark's version, UTC epoch nanoseconds."""


class Due(NamedTuple):
    """Minutes to be counted together."""

    minutes: Mapping[int, Mapping[int, int]]
    """With the marks that are counted by it."""
    outdated: list[tuple[int, int, int]]
    """Marks to be taken away after that: minute, writer, version."""


class SharedMinutes:
    """Remembers for which marks minutes were counted; what is forgotten is counted again, which does no harm.

    Args:
        stumbles: Told elsewhere what could not be counted; says in which order and how many minutes come.
    """

    def __init__(self, stumbles: Stumbles) -> None:
        self._stumbles = stumbles
        self._counted: dict[int, dict[int, int]] = {}

    def due(self, marks: Marks, is_mine: Callable[[int], bool], now_ns: int) -> Iterator[Due]:
        """Give what is to be counted; say `done` of each part before the next is asked for.

        Args:
            marks: All that there are.
            is_mine: Says whose turn a minute is.
            now_ns: UTC epoch nanoseconds.
        """
        self._counted = {minute: seen for minute, seen in self._counted.items() if minute in marks}
        found: dict[int, dict[int, int]] = {}
        for minute in sorted(marks):
            if is_mine(minute) and (minute + 1) * MINUTE_S * _NS + _SETTLED_NS <= now_ns:
                settled = {who: when for who, when in marks[minute].items() if when + _SETTLED_NS <= now_ns}
                seen = self._counted.get(minute, {})
                is_changed = any(seen.get(who) != when for who, when in settled.items())
                if is_changed or any(_is_outdated(minute, when, now_ns) for when in settled.values()):
                    found[minute] = settled
        while found:
            part = {minute: found.pop(minute) for minute in self._stumbles.next_part(found)}
            outdated = [
                (minute, who, when)
                for minute, settled in part.items()
                for who, when in settled.items()
                if _is_outdated(minute, when, now_ns)
            ]
            yield Due(part, outdated)

    def done(self, due: Due) -> None:
        """Take note that minutes were counted and their outdated marks taken away."""
        for minute, settled in due.minutes.items():
            self._counted[minute] = dict(settled)


def _is_outdated(minute: int, when_ns: int, now_ns: int) -> bool:
    """Whether no writer relies on a mark any more; those of minutes to come are relied on until they are over."""
    return max(when_ns, (minute + 1) * MINUTE_S * _NS) + _KEPT_NS <= now_ns
