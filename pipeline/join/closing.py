"""How groups leave the memory of the join: whole, at their window's end, evicted, crowded, or unreadable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from pipeline.join.group import Closed, Group
from pipeline.join.held import Held
from pipeline.join.index import Waiting
from pipeline.join.keys import Keys
from pipeline.model import EdgeRecord, GatewayRecord


class Closing:
    """Lets go of what waited, and keeps it until somebody takes it."""

    def __init__(self, held: Held, keys: Keys, most_per_key: int) -> None:
        self._held, self._keys, self._most = held, keys, most_per_key
        self._ready: list[Group] = []
        self._broken: list[Group] = []

    def hand_on(self, group: Group) -> None:
        """Give a group that never waited."""
        self._ready.append(group)

    def take_ready(self) -> list[Group]:
        """Give, once, the groups that were closed."""
        ready, self._ready = self._ready, []
        return ready

    def take_broken(self) -> list[Group]:
        """Give, once, the groups of records that were held and could not be read back: a fault of ours."""
        broken, self._broken = self._broken, []
        return broken

    def relieve(self, most: int) -> None:
        """Give up the longest waiting halves until only so many are left."""
        while self._held.halves > most and (oldest := self._held.oldest) is not None:
            self.expire(oldest, "evicted")

    def expire(self, oldest: Waiting, closed: Closed) -> None:
        """Close what waits longest; lone attempts go with those that wait under the same request id."""
        try:
            edges, attempts = self.unpacked((oldest,))
        except msgspec.MsgspecError:
            self.give_up(oldest)
            return
        if not edges:
            if self._held.index.is_constant(oldest.keys[0]):
                oldest.crowded = True
            else:
                for sibling in self._held.lone_siblings(oldest):
                    try:
                        attempts += self.unpacked((sibling,))[1]
                    except msgspec.MsgspecError:
                        continue  # its own turn comes
                    oldest.copies += sibling.copies
                    oldest.look_up |= sibling.look_up
                    self._keys.recent.add(sibling.keys)
                    self._held.forget(sibling)
        self.close(oldest, edges, attempts, closed, ())

    def give_up(self, waiting: Waiting) -> None:
        """Let go of records that cannot be read back, as far as they can be told."""
        edges, attempts = self._held.packing.salvaged(waiting)
        self._held.forget(waiting)
        self._broken.append(Group(edges, attempts, "window", look_up=False, copies=waiting.copies))

    def check_crowd(self, home: Waiting, edges: list[EdgeRecord], attempts: list[GatewayRecord]) -> None:
        """Close what is too much for one request, and join no longer on the ids that made it so."""
        if home.size <= self._most:
            return
        counts = Counter(edge.request_id for edge in edges)
        for attempt in attempts:
            counts.update(set(attempt.request_ids))
        self._keys.shun(request_id for request_id, count in counts.items() if 2 * count > self._most)
        home.crowded = True
        self.close(home, edges, attempts, "window", ())

    def close(
        self,
        waiting: Waiting,
        edges: list[EdgeRecord],
        attempts: list[GatewayRecord],
        closed: Closed,
        more_keys: Sequence[int],
    ) -> None:
        """Hand a group on; what never waited is not held."""
        if waiting.edges or waiting.attempts:
            self._held.forget(waiting)
        self._keys.recent.add(waiting.keys)
        if more_keys and more_keys != waiting.keys:
            self._keys.recent.add([key for key in dict.fromkeys(more_keys) if key not in waiting.keys])
        self._ready.append(Group(edges, attempts, closed, waiting.look_up, waiting.crowded, waiting.copies))

    def unpacked(self, group: Iterable[Waiting]) -> tuple[list[EdgeRecord], list[GatewayRecord]]:
        """Give the records of some that wait.

        Raises:
            msgspec.MsgspecError: One of them cannot be read back.
        """
        edges: list[EdgeRecord] = []
        attempts: list[GatewayRecord] = []
        for waiting in group:
            edges += self._held.packing.edges_of(waiting)
            attempts += self._held.packing.attempts_of(waiting)
        return edges, attempts
