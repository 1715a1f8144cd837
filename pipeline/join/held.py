"""What the joiner holds: found by key, left by age, counted in halves and bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from pipeline.join.index import Waiting, WaitingIndex

_HALF_OVERHEAD = 260
"""Bytes of a waiting half beside its packed record: keys, their places in the index, what holds them."""
_COMPACT_AT = 10_000


class Held:
    """Everything that waits.

    Args:
        most_per_key: What one key may find; see `WaitingIndex`.
    """

    def __init__(self, most_per_key: int) -> None:
        self.index = WaitingIndex(most_per_key)
        self._queue: deque[Waiting] = deque()
        self._closed_in_queue = 0
        self.halves = 0
        self.bytes = 0
        """Memory, estimated."""

    @property
    def oldest(self) -> Waiting | None:
        """What has waited longest."""
        queue = self._queue
        while queue and not queue[0].is_open:
            queue.popleft()
            self._closed_in_queue -= 1
        return queue[0] if queue else None

    def hold(self, waiting: Waiting) -> None:
        """Let something wait."""
        self._queue.append(waiting)
        for key in waiting.keys:
            self.index.add(key, waiting)
        self._grow(waiting, waiting.edges + waiting.attempts)

    def extend(
        self,
        waiting: Waiting,
        *,
        edges: tuple[bytes, ...] = (),
        attempts: tuple[bytes, ...] = (),
        keys: Sequence[int] = (),
    ) -> None:
        """Put packed records, and the keys that they bring, to something that waits."""
        waiting.edges += edges
        waiting.attempts += attempts
        self._grow(waiting, edges + attempts)
        for key in keys:
            if key not in waiting.keys:
                waiting.keys = (*waiting.keys, key)
                self.index.add(key, waiting)

    def forget(self, waiting: Waiting) -> None:
        """Let something wait no longer; it gives up its packed records."""
        self.index.remove(waiting)
        self.halves -= len(waiting.edges) + len(waiting.attempts)
        self.bytes -= waiting.bytes
        waiting.is_open = False
        waiting.edges = waiting.attempts = ()
        self._closed_in_queue += 1
        if self._closed_in_queue > _COMPACT_AT and 2 * self._closed_in_queue > len(self._queue):
            self._queue = deque(other for other in self._queue if other.is_open)
            self._closed_in_queue = 0

    def lone_siblings(self, lone: Waiting) -> Iterable[Waiting]:
        """Give the other attempts that wait alone under the same first key."""
        key = lone.keys[0]
        return [
            other
            for other in self.index.at(key)
            if other is not lone and not other.edges and other.keys[0] == key
        ]

    def _grow(self, waiting: Waiting, packed: tuple[bytes, ...]) -> None:
        size = _HALF_OVERHEAD * len(packed) + sum(map(len, packed))
        waiting.bytes += size
        self.halves += len(packed)
        self.bytes += size
