"""Who waits under which key; nearly always one group a key."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipeline.model import EdgeRecord, GatewayRecord, Source


class Waiting(msgspec.Struct, gc=False):
    """What waits: edge records with their attempts, or a single attempt without an edge record."""

    arrival_ns: int
    """When its first record came."""
    keys: tuple[int, ...]
    """What it is found by. Of a lone attempt the first is the one that it shares with its siblings."""
    edge_keys: tuple[int, ...]
    """Those of its keys that an edge record brought: a client cannot choose them."""
    edges: tuple[EdgeRecord | bytes, ...]
    """Edge records, packed where they have waited for a while."""
    attempts: tuple[GatewayRecord | bytes, ...]
    """Gateway records, likewise."""
    look_up: bool
    crowded: bool
    copies: tuple[tuple[Source, int], ...] = ()
    """Source and offset of further copies of its records."""
    is_open: bool = True

    @property
    def size(self) -> int:
        """How many halves wait in it."""
        return len(self.edges) + len(self.attempts)


class WaitingIndex:
    """A multimap from keys to what waits; one key finds a bounded number.

    Args:
        most: What one key may find. A key that would find more is a constant, no request's own: it is
            remembered as such and finds nothing new.
    """

    _MOST_CONSTANTS = 10_000

    def __init__(self, most: int) -> None:
        self._most = most
        self._at: dict[int, Waiting | list[Waiting]] = {}
        self.constants: dict[int, None] = {}
        """Keys that have turned out to be shared by strangers."""

    def at(self, key: int) -> Iterable[Waiting]:
        """Give what waits under a key."""
        entry = self._at.get(key)
        if entry is None:
            return ()
        return (entry,) if type(entry) is Waiting else tuple(entry)  # type: ignore[arg-type] # narrowed by `type() is`

    def is_constant(self, key: int) -> bool:
        """Whether a key has turned out to be shared by strangers."""
        return key in self.constants

    def add(self, key: int, waiting: Waiting) -> None:
        """Let something be found by a key, unless the key is a constant."""
        entry = self._at.setdefault(key, waiting)
        if entry is waiting:
            return
        if type(entry) is not list:
            self._at[key] = [entry, waiting]  # type: ignore[list-item] # narrowed by `type() is`
        elif len(entry) >= self._most:
            self.mark_constant(key)
        elif not any(other is waiting for other in entry):
            entry.append(waiting)

    def remove(self, waiting: Waiting) -> None:
        """Let something be found no longer."""
        index = self._at
        for key in waiting.keys:
            entry = index.pop(key, None)
            if entry is waiting or entry is None:
                continue
            if type(entry) is not list:
                index[key] = entry
            elif left := [other for other in entry if other is not waiting]:
                index[key] = left if len(left) > 1 else left[0]

    def mark_constant(self, key: int) -> None:
        """Say that a key is shared by strangers; the oldest such is forgotten when there are many."""
        self.constants[key] = None
        if len(self.constants) > self._MOST_CONSTANTS:
            del self.constants[next(iter(self.constants))]
