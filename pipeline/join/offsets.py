"""Which offset may be committed: the lowest whose record is not done yet."""

from __future__ import annotations

from collections import Counter

from pipeline.model import Outcome

_COMPACT_AT = 1 << 20
_MOST_OUTCOMES = 255


class OffsetTracker:
    """Remembers what became of each record from a start on, one byte a record.

    Args:
        start: Offset of the first record; the others follow without gaps.
    """

    def __init__(self, start: int) -> None:
        self._base = start
        self._codes = bytearray()
        """One code a record from `_base` on: 0 is not done, n is the outcome `_outcomes[n - 1]`."""
        self._passed = 0
        self._code_of: dict[Outcome, int] = {}
        self._outcomes: list[Outcome] = []

    @property
    def committable(self) -> int:
        """The offset that a restart may begin at, as of the last `advance`."""
        return self._base + self._passed

    def done(self, offset: int, outcome: Outcome) -> None:
        """Say what became of a record, in any order.

        Raises:
            ValueError: It is below the start or has been done before: it would be counted twice.
        """
        code = self._code_of.get(outcome) or self._learn(outcome)
        codes, index = self._codes, offset - self._base
        if index >= len(codes):
            codes.extend(bytes(max(4096, index + 1 - len(codes))))
        elif index < self._passed or codes[index]:
            raise ValueError(f"the record at offset {offset} is done already")
        codes[index] = code

    def advance(self) -> tuple[int, Counter[Outcome]]:
        """Pass every record up to the first that is not done.

        Returns:
            The offset to commit, and how many of the records passed since the last call ended how.
        """
        end = self._codes.find(0, self._passed)
        end = len(self._codes) if end < 0 else end
        passed = bytes(memoryview(self._codes)[self._passed : end])
        counts = Counter(
            {
                outcome: count
                for code, outcome in enumerate(self._outcomes, 1)
                if (count := passed.count(code))
            }
        )
        self._passed = end
        if end >= _COMPACT_AT:
            del self._codes[:end]
            self._base, self._passed = self._base + end, 0
        return self.committable, counts

    def _learn(self, outcome: Outcome) -> int:
        if len(self._outcomes) == _MOST_OUTCOMES:
            raise ValueError(
                "more kinds of outcomes than a byte can tell apart: is a reason not from a closed set?"
            )
        self._outcomes.append(outcome)
        code = self._code_of[outcome] = len(self._outcomes)
        return code
