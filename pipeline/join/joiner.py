"""Where halves meet in memory: records in, groups out; time is an argument.

An edge record gathers the attempts that carry its request id (key A) or whose gateway request id it
captured (key B). An attempt whose edge record is not there yet waits alone, so that a request id which
clients chose gathers no strangers. All wait until what the edge record lets expect has come, or until the
window ends, counted from the arrival stamp of the edge record, or of the lone attempt. Waiting halves are
held packed; keys are 64-bit hashes, salted by the process. A collision only gathers too much: the match rules
of `resolve` look at the ids themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from pipeline.join.complete import is_complete
from pipeline.join.expect import expected_of
from pipeline.join.group import Closed, Group
from pipeline.join.held import Held
from pipeline.join.ids import can_be_joined_on
from pipeline.join.index import Waiting
from pipeline.join.recent import RecentKeys
from pipeline.model import EdgeRecord, GatewayRecord, Source

_pack = msgspec.msgpack.Encoder().encode
_unpack_edge = msgspec.msgpack.Decoder(EdgeRecord).decode
_unpack_attempt = msgspec.msgpack.Decoder(GatewayRecord).decode

_KEY_B = 0x5DEECE66D
"""Sets key B apart from key A: a client may send somebody's gateway request id as its request id."""


class JoinLimits(NamedTuple):
    """How long and how much may wait."""

    window_ns: int
    max_pending: int
    """Halves; above it the oldest are given up."""
    max_per_key: int
    """Records that may share an id; above it the id is taken for a constant."""


class Joiner:
    """Gathers records by their ids; pure but for what it holds."""

    def __init__(self, limits: JoinLimits) -> None:
        self._limits = limits
        self._held = Held(limits.max_per_key)
        self._ready: list[Group] = []
        self._recent = RecentKeys(limits.window_ns, 2 * limits.max_pending)

    @property
    def pending(self) -> int:
        """Halves that wait."""
        return self._held.halves

    @property
    def pending_bytes(self) -> int:
        """Memory they take, estimated."""
        return self._held.bytes

    @property
    def oldest_arrival_ns(self) -> int | None:
        """When the oldest waiting half came."""
        oldest = self._held.oldest
        return oldest.arrival_ns if oldest else None

    def add(self, record: EdgeRecord | GatewayRecord, arrival_ns: int) -> None:
        """Take a record in; a group that it completes is given by the next `due`."""
        if type(record) is EdgeRecord:
            self._add_edge(record, arrival_ns)
        else:
            self._add_attempt(record, arrival_ns)  # type: ignore[arg-type] # narrowed by `type() is`

    def due(self, now_ns: int) -> list[Group]:
        """Give the groups that are complete, and those whose window has ended by `now_ns`."""
        deadline_ns = now_ns - self._limits.window_ns
        while (oldest := self._held.oldest) is not None and oldest.arrival_ns <= deadline_ns:
            self._expire(oldest, "window")
        self._relieve(self._limits.max_pending)
        self._recent.turn(now_ns)
        return self._take_ready()

    def evict(self, count: int) -> list[Group]:
        """Give up about `count` of the longest waiting halves."""
        self._relieve(max(0, self.pending - count))
        return self._take_ready()

    def flush(self) -> list[Group]:
        """End every window: nothing more will come."""
        while (oldest := self._held.oldest) is not None:
            self._expire(oldest, "window")
        return self._take_ready()

    def _relieve(self, most: int) -> None:
        while self.pending > most and (oldest := self._held.oldest) is not None:
            self._expire(oldest, "evicted")

    def _take_ready(self) -> list[Group]:
        ready, self._ready = self._ready, []
        return ready

    def _add_edge(self, edge: EdgeRecord, arrival_ns: int) -> None:
        keys, crowded = self._keys((edge.request_id,), edge.gateway_request_id)
        home, lone = self._found_by(keys)
        if home is None:
            look_up = self._may_be_stored(edge.start_us, arrival_ns, keys)
            home = Waiting(arrival_ns, keys, keys, (), (), look_up, crowded)
            if not lone and keys and expected_of(edge).attempts:
                home.edges = (_pack(edge),)
                self._held.hold(home)
                return
        edges, attempts = _unpacked((home, *lone))
        if any(other.rec_id == edge.rec_id for other in edges):
            home.copies = (*home.copies, (Source.HAPROXY, edge.offset))
            return
        edges.append(edge)
        for waiting in lone:
            home.look_up |= waiting.look_up
            home.copies += waiting.copies
        absorbed = tuple(waiting.attempts[0] for waiting in lone)
        more_keys = keys + tuple(key for waiting in lone for key in waiting.keys)
        for waiting in lone:
            self._held.forget(waiting)
        if not keys or is_complete(edges, attempts):
            self._close(home, edges, attempts, "complete", more_keys)
            return
        home.edge_keys = tuple(dict.fromkeys(home.edge_keys + keys))
        if not home.edges:
            self._held.hold(home)
        self._held.extend(home, edges=(_pack(edge),), attempts=absorbed, keys=more_keys)
        self._check_crowd(home, edges, attempts)

    def _found_by(self, keys: Iterable[int]) -> tuple[Waiting | None, list[Waiting]]:
        """Find the edge records that wait under any of an edge record's keys, united, and lone attempts."""
        home: Waiting | None = None
        lone: list[Waiting] = []
        for key in keys:
            for waiting in self._held.index.at(key):
                if waiting.edges:
                    home = waiting if home is None or home is waiting else self._unite(home, waiting)
                elif not any(waiting is other for other in lone):
                    lone.append(waiting)
        return home, lone

    def _add_attempt(self, attempt: GatewayRecord, arrival_ns: int) -> None:
        keys, crowded = self._keys(attempt.request_ids[::-1], attempt.gateway_request_id)
        for key in keys:
            for waiting in self._held.index.at(key):
                if key in waiting.edge_keys:
                    self._join_edge(waiting, attempt, keys)
                    return
                if not waiting.edges and _is_copy(waiting, attempt):
                    waiting.copies = (*waiting.copies, (Source.KONG, attempt.offset))
                    return
        look_up = self._may_be_stored(attempt.started_us, arrival_ns, keys)
        if keys:
            self._held.hold(Waiting(arrival_ns, keys, (), (), (_pack(attempt),), look_up, crowded))
        else:
            self._ready.append(Group([], [attempt], "complete", look_up, crowded))

    def _join_edge(self, home: Waiting, attempt: GatewayRecord, keys: Sequence[int]) -> None:
        """Put an attempt to the edge record that waits for it."""
        edges, attempts = _unpacked((home,))
        if any(other.attempt_id == attempt.attempt_id for other in attempts):
            home.copies = (*home.copies, (Source.KONG, attempt.offset))
            return
        attempts.append(attempt)
        if is_complete(edges, attempts):
            self._close(home, edges, attempts, "complete", keys)
            return
        self._held.extend(home, attempts=(_pack(attempt),), keys=keys)
        self._check_crowd(home, edges, attempts)

    def _keys(self, request_ids: Sequence[str], gateway_id: str | None) -> tuple[tuple[int, ...], bool]:
        """Give the keys a record is found by, and whether one of its ids has turned out a constant."""
        keys, crowded = [], False
        for request_id in request_ids:
            if request_id and can_be_joined_on(request_id):
                key = hash(request_id)
                if self._recent.count(key) > self._limits.max_per_key:
                    self._held.index.mark_constant(key)
                if self._held.index.is_constant(key):
                    crowded = True
                else:
                    keys.append(key)
        if gateway_id:
            keys.append(hash(gateway_id) ^ _KEY_B)
        return tuple(keys), crowded

    def _may_be_stored(self, start_us: int, arrival_ns: int, keys: tuple[int, ...]) -> bool:
        """Whether another half, or a copy, may have been stored already.

        It would have had to come and be closed since the request began, or its keys are still remembered.
        """
        lag_ns, window_ns = arrival_ns - start_us * 1000, self._limits.window_ns
        if lag_ns > window_ns or -2 * lag_ns > window_ns:
            return True
        for key in keys:  # noqa: SIM110 -- twice as fast as any() on the hottest path
            if self._recent.holds(key):
                return True
        return False

    def _unite(self, first: Waiting, second: Waiting) -> Waiting:
        """Make one of two that an edge record belongs to; the one that waits longer stays."""
        if second.arrival_ns < first.arrival_ns:
            first, second = second, first
        edges, attempts, keys = second.edges, second.attempts, second.keys
        self._held.forget(second)
        first.copies += second.copies
        first.look_up |= second.look_up
        first.crowded |= second.crowded
        first.edge_keys = tuple(dict.fromkeys(first.edge_keys + second.edge_keys))
        self._held.extend(first, edges=edges, attempts=attempts, keys=keys)
        return first

    def _check_crowd(self, home: Waiting, edges: list[EdgeRecord], attempts: list[GatewayRecord]) -> None:
        """Close what is too much for one request, and join no longer on the ids that made it so."""
        if home.size <= self._limits.max_per_key:
            return
        counts = Counter(edge.request_id for edge in edges)
        for attempt in attempts:
            counts.update(set(attempt.request_ids))
        for request_id, count in counts.items():
            if 2 * count > self._limits.max_per_key:
                self._held.index.mark_constant(hash(request_id))
        home.crowded = True
        self._close(home, edges, attempts, "window", ())

    def _expire(self, oldest: Waiting, closed: Closed) -> None:
        """Close what waits longest; lone attempts go with those that wait under the same request id."""
        edges, attempts = _unpacked((oldest,))
        if not edges:
            if self._held.index.is_constant(oldest.keys[0]):
                oldest.crowded = True
            else:
                for sibling in self._held.lone_siblings(oldest):
                    attempts += _unpacked((sibling,))[1]
                    oldest.copies += sibling.copies
                    oldest.look_up |= sibling.look_up
                    self._recent.add(sibling.keys)
                    self._held.forget(sibling)
        self._close(oldest, edges, attempts, closed, ())

    def _close(
        self,
        waiting: Waiting,
        edges: list[EdgeRecord],
        attempts: list[GatewayRecord],
        closed: Closed,
        more_keys: Sequence[int],
    ) -> None:
        """Hand a group on; what never waited is not held."""
        if waiting.size:
            self._held.forget(waiting)
        self._recent.add(waiting.keys)
        self._recent.add(more_keys)
        self._ready.append(Group(edges, attempts, closed, waiting.look_up, waiting.crowded, waiting.copies))


def _unpacked(group: Iterable[Waiting]) -> tuple[list[EdgeRecord], list[GatewayRecord]]:
    edges: list[EdgeRecord] = []
    attempts: list[GatewayRecord] = []
    for waiting in group:
        edges += map(_unpack_edge, waiting.edges)
        attempts += map(_unpack_attempt, waiting.attempts)
    return edges, attempts


def _is_copy(waiting: Waiting, attempt: GatewayRecord) -> bool:
    return _unpack_attempt(waiting.attempts[0]).attempt_id == attempt.attempt_id
