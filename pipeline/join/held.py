"""What the joiner holds: found by key, left by age, counted in halves and bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from pipeline.join.index import Waiting, WaitingIndex
from pipeline.join.packing import Packing
from pipeline.model import EdgeRecord, GatewayRecord

_OVERHEAD = 440
"""Bytes of a waiting half beside its record: keys, their places in the index, what holds them."""
_UNPACKED = 1700
"""Bytes of a record as it came, about."""
_COMPACT_AT = 10_000


class Held:
    """Everything that waits.

    Args:
        most_per_key: What one key may find; see `WaitingIndex`.
    """

    def __init__(self, most_per_key: int) -> None:
        self.index = WaitingIndex(most_per_key)
        self._queue: deque[Waiting] = deque()
        """What has been shown while it waits; all of it older than the rest."""
        self._young: deque[Waiting] = deque()
        self._closed_in_queue = 0
        self._unpacked: deque[Waiting] = deque()
        """What came last, in order; more may be closed, or be here twice."""
        self.halves = 0
        self.packing = Packing()
        self._packed_halves = 0
        self._packed_bytes = 0

    @property
    def memory(self) -> int:
        """Bytes that it takes, estimated."""
        unpacked = self.halves - self._packed_halves
        return _OVERHEAD * self.halves + _UNPACKED * unpacked + self._packed_bytes

    @property
    def oldest(self) -> Waiting | None:
        """What has waited longest."""
        for queue in (self._queue, self._young):
            while queue and not queue[0].is_open:
                queue.popleft()
                self._closed_in_queue -= 1
            if queue:
                return queue[0]
        return None

    def ripen(self, deadline_ns: int, most: int) -> list[Waiting]:
        """Give, each once, what has waited since a deadline; the longest waiting first."""
        ripe: list[Waiting] = []
        young = self._young
        while young and len(ripe) < most:
            first = young[0]
            if first.is_open and first.arrival_ns > deadline_ns:
                break
            young.popleft()
            if first.is_open:
                self._queue.append(first)
                ripe.append(first)
            else:
                self._closed_in_queue -= 1
        return ripe

    def hold(self, waiting: Waiting) -> None:
        """Let something wait."""
        self._young.append(waiting)
        self._unpacked.append(waiting)
        for key in waiting.keys:
            self.index.add(key, waiting)
        self.halves += len(waiting.edges) + len(waiting.attempts)

    def extend(
        self,
        waiting: Waiting,
        *,
        edges: tuple[EdgeRecord | bytes, ...] = (),
        attempts: tuple[GatewayRecord | bytes, ...] = (),
        keys: Sequence[int] = (),
    ) -> None:
        """Put records, and the keys that they bring, to something that waits."""
        waiting.edges += edges
        waiting.attempts += attempts
        self._unpacked.append(waiting)
        self.halves += len(edges) + len(attempts)
        self._count_packed((*edges, *attempts), 1)
        for key in keys:
            if key not in waiting.keys:
                waiting.keys = (*waiting.keys, key)
                self.index.add(key, waiting)

    def pack_all_but(self, most: int) -> list[Waiting]:
        """Pack what waits, but for what came last; gives what cannot be packed."""
        unpackable = []
        while len(self._unpacked) > most:
            waiting = self._unpacked.popleft()
            if not waiting.is_open:
                continue
            self._count_packed((*waiting.edges, *waiting.attempts), -1)
            try:
                self.packing.pack(waiting)
            except Exception:  # noqa: BLE001 -- whatever a record holds, its neighbours are kept
                unpackable.append(waiting)
            self._count_packed((*waiting.edges, *waiting.attempts), 1)
        return unpackable

    def forget(self, waiting: Waiting) -> None:
        """Let something wait no longer; it gives up its records."""
        self.index.remove(waiting)
        self.halves -= len(waiting.edges) + len(waiting.attempts)
        if self._packed_halves:
            self._count_packed((*waiting.edges, *waiting.attempts), -1)
        waiting.is_open = False
        waiting.edges = waiting.attempts = ()
        self._closed_in_queue += 1
        if self._closed_in_queue > _COMPACT_AT and 2 * self._closed_in_queue > len(self._queue) + len(
            self._young
        ):
            self._queue = deque(other for other in self._queue if other.is_open)
            self._young = deque(other for other in self._young if other.is_open)
            self._closed_in_queue = 0

    def lone_siblings(self, lone: Waiting) -> Iterable[Waiting]:
        """Give the other attempts that wait alone under the same first key."""
        key = lone.keys[0]
        return [
            other
            for other in self.index.at(key)
            if other is not lone and not other.edges and other.keys[0] == key
        ]

    def _count_packed(self, halves: tuple[EdgeRecord | GatewayRecord | bytes, ...], sign: int) -> None:
        for half in halves:
            if type(half) is bytes:
                self._packed_halves += sign
                self._packed_bytes += sign * len(half)
