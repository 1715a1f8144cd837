"""The books of a bus: which offsets are pending, whose they are, and what became of the others.

PURE: no I/O, no lock; whoever shares it between threads holds one. Both buses keep theirs here, so that
`received = outcomes + pending` holds by the same lines of code in each.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping

from pipeline.contracts import Account
from pipeline.model import Outcome, OutcomeKind, Source

_SOURCES = tuple(Source)
_COMPACT_AT = 4096


class Books:
    """What entered and what left, per source.

    Neighbouring records of one source are one run; a run takes nine bytes.

    Args:
        committed: Offset of the first record that is not accounted for yet.
        outcomes: What became of those before it, and drops.
    """

    def __init__(self, committed: int, outcomes: Mapping[Outcome, int] | None = None) -> None:
        self.name = f"bus-{committed >> 40:06x}"
        """Names the bus for good: where its offsets begin (`draw_first_offset`)."""
        self.committed = committed
        self.end = committed
        self.outcomes: Counter[Outcome] = Counter(outcomes or {})
        self._pending = dict.fromkeys(_SOURCES, 0)
        self._ends = array("Q")
        self._sources = bytearray()
        self._head = 0

    def receive(self, source: Source, count: int) -> None:
        """Take `count` records in at the end."""
        if not count:
            return
        code = _SOURCES.index(source)
        self.end += count
        self._pending[source] += count
        if len(self._ends) > self._head and self._sources[-1] == code:
            self._ends[-1] = self.end
        else:
            self._ends.append(self.end)
            self._sources.append(code)

    def drop(self, source: Source, reason: str, count: int) -> None:
        """Count records that never got an offset."""
        self.outcomes[Outcome(source, OutcomeKind.DROPPED, reason)] += count

    def check(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        """Make sure that a commit would leave the books balanced.

        Raises:
            ValueError: The offset goes back or beyond the end, or the outcomes do not add up, per source,
                to the records that would be passed. Nothing has changed.
        """
        if not self.committed <= offset <= self.end:
            raise ValueError(f"cannot commit {offset}: it is not between {self.committed} and {self.end}")
        passed, told = dict.fromkeys(_SOURCES, 0), dict.fromkeys(_SOURCES, 0)
        for source, count in self.runs(self.committed, offset):
            passed[source] += count
        for outcome, count in outcomes.items():
            told[outcome.source] += count
        if passed != told:
            raise ValueError(f"the outcomes of a commit to {offset} do not add up: {told}, passed {passed}")

    def commit(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        """Let records leave; raises as `check` does."""
        self.check(offset, outcomes)
        for source, count in self.runs(self.committed, offset):
            self._pending[source] -= count
        self.outcomes.update(outcomes)
        self.committed = offset
        while self._head < len(self._ends) and self._ends[self._head] <= offset:
            self._head += 1
        if self._head >= _COMPACT_AT and self._head * 2 >= len(self._ends):
            del self._ends[: self._head], self._sources[: self._head]
            self._head = 0

    def runs(self, start: int, stop: int) -> Iterator[tuple[Source, int]]:
        """Tell whose the pending records from `start` up to `stop` are: source and count, in order."""
        low, high = self._head, len(self._ends)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._ends[middle] <= start else (low, middle)
        while start < stop:
            end = min(self._ends[low], stop)
            yield _SOURCES[self._sources[low]], end - start
            start, low = end, low + 1

    def account(self) -> Account:
        """Give a copy that stays as it is."""
        return Account(dict(self.outcomes), dict(self._pending), self.committed)

    def accounts(self) -> dict[str, Account]:
        """Give it under the name of the bus, which has one part alone."""
        return {self.name: self.account()}
