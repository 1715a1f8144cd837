"""Where halves meet in memory: records in, groups out; time is an argument.

An edge record gathers the attempts that carry its request id (key A) or whose gateway request id it
captured (key B). An attempt whose edge record is not there yet waits alone, so that a request id which
clients chose gathers no strangers. All wait until what the edge record lets expect has come, or until the
window ends, counted from the arrival stamp of the edge record, or of the lone attempt. Waiting halves are
held packed, but for those that came last; keys are 60-bit hashes, salted by the process. A collision only
gathers too much: the match rules of `resolve` look at the ids themselves.
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

_KEY_BITS = 2**60 - 1
"""What fits into two digits of a Python integer: a third less memory a key."""
_KEY_B = 0x5DEECE66D
"""Sets key B apart from key A: a client may send somebody's gateway request id as its request id."""


class JoinLimits(NamedTuple):
    """How long and how much may wait."""

    window_ns: int
    max_pending: int
    """Halves; above it the oldest are given up."""
    max_per_key: int
    """Records that may share an id; above it the id is taken for a constant."""
    show_after_ns: int = 0
    """After how long what still waits is given by `unfinished`; 0: never."""
    max_unpacked: int = 16_384
    """Halves that are held as they came: of those that came last, whose others are likeliest to come next."""


class Joiner:
    """Gathers records by their ids; pure but for what it holds."""

    def __init__(self, limits: JoinLimits) -> None:
        self._limits = limits
        self._held = Held(limits.max_per_key)
        self._edges_of, self._attempts_of = self._held.packing.edges_of, self._held.packing.attempts_of
        self._ready: list[Group] = []
        self._broken: list[Group] = []
        self._waits_ns: dict[Source, int] = {}
        self._recent = RecentKeys(limits.window_ns, 2 * limits.max_pending)

    @property
    def most_per_key(self) -> int:
        """Records that may share an id."""
        return self._limits.max_per_key

    def shun(self, request_id: str) -> None:
        """Join no more on a request id that has turned out a constant."""
        self._held.index.mark_constant(hash(request_id) & _KEY_BITS)

    @property
    def pending(self) -> int:
        """Halves that wait."""
        return self._held.halves

    @property
    def pending_bytes(self) -> int:
        """Memory they take, estimated."""
        return self._held.memory

    @property
    def oldest_arrival_ns(self) -> int | None:
        """When the oldest waiting half came."""
        oldest = self._held.oldest
        return oldest.arrival_ns if oldest else None

    def add(self, record: EdgeRecord | GatewayRecord, arrival_ns: int) -> None:
        """Take a record in; a group that it completes is given by the next `due`.

        Whatever it raises for what a record holds, it raises before anything has changed.
        """
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
        for waiting in self._held.pack_all_but(self._limits.max_unpacked):
            self._give_up(waiting)
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

    def unfinished(self, now_ns: int, most: int) -> list[Group]:
        """Give what has waited for a while and waits on, each once, as far as it has come by `now_ns`.

        From then on the store may hold a row of it, so that it is asked when the group is closed.
        """
        if not self._limits.show_after_ns:
            return []
        ripe = self._held.ripen(now_ns - self._limits.show_after_ns, most)
        return [group for waiting in ripe if (group := self._as_it_is(waiting)) is not None]

    def _as_it_is(self, waiting: Waiting) -> Group | None:
        """Give a group that goes on waiting; None for what is joined on no more, or cannot be read back."""
        if waiting.crowded or (not waiting.edges and self._held.index.is_constant(waiting.keys[0])):
            return None
        parts = [waiting] if waiting.edges else [waiting, *self._held.lone_siblings(waiting)]
        try:
            edges, attempts = self._unpacked(parts)
        except msgspec.MsgspecError:
            return None  # it is given up when its window ends
        group = Group(edges, attempts, "pending", any(part.look_up for part in parts))
        for part in parts:
            part.look_up = True
        return group

    def take_waits(self) -> dict[Source, int]:
        """Give how long a first half had waited, by the source of the second; one a source since the last call."""
        waits_ns, self._waits_ns = self._waits_ns, {}
        return waits_ns

    def take_broken(self) -> list[Group]:
        """Give, once, the groups of records that were held and could not be read back: a fault of ours."""
        broken, self._broken = self._broken, []
        return broken

    def _relieve(self, most: int) -> None:
        while self.pending > most and (oldest := self._held.oldest) is not None:
            self._expire(oldest, "evicted")

    def _take_ready(self) -> list[Group]:
        ready, self._ready = self._ready, []
        return ready

    def _add_edge(self, edge: EdgeRecord, arrival_ns: int) -> None:
        keys, crowded, seen = self._recalled((edge.request_id,), edge.gateway_request_id)
        home, lone = self._found_by(keys)
        if home is None:
            look_up = seen or self._is_late(edge.start_us, arrival_ns)
            home = Waiting(arrival_ns, keys, keys, (), (), look_up, crowded)
            if not lone and keys and expected_of(edge).attempts:
                home.edges = (edge,)
                self._held.hold(home)
                return
        edges, attempts = self._edges_of(home), self._attempts_of(home)
        for waiting in lone:
            attempts += self._attempts_of(waiting)
        if edges and any(other.rec_id == edge.rec_id for other in edges):
            home.copies = (*home.copies, (Source.HAPROXY, edge.offset))
            return
        edges.append(edge)
        is_whole = not keys or is_complete(edges, attempts)
        absorbed, more_keys = self._absorb(home, keys, lone)
        if is_whole:
            if lone and Source.HAPROXY not in self._waits_ns:
                self._waits_ns[Source.HAPROXY] = arrival_ns - lone[0].arrival_ns
            self._close(home, edges, attempts, "complete", more_keys)
            return
        home.edge_keys = tuple(dict.fromkeys(home.edge_keys + keys))
        if not home.edges:
            self._held.hold(home)
        self._held.extend(home, edges=(edge,), attempts=absorbed, keys=more_keys)
        self._check_crowd(home, edges, attempts)

    def _absorb(
        self, home: Waiting, keys: tuple[int, ...], lone: Iterable[Waiting]
    ) -> tuple[tuple[GatewayRecord | bytes, ...], tuple[int, ...]]:
        """Let lone attempts wait no longer by themselves; gives them, and all keys that they bring."""
        absorbed: tuple[GatewayRecord | bytes, ...] = ()
        more_keys = keys
        for waiting in lone:
            home.look_up |= waiting.look_up
            home.copies += waiting.copies
            absorbed += waiting.attempts
            if waiting.keys != keys:
                more_keys += waiting.keys
            self._held.forget(waiting)
        return absorbed, more_keys

    def _found_by(self, keys: Iterable[int]) -> tuple[Waiting | None, list[Waiting]]:
        """Find the edge records that wait under any of an edge record's keys, united, and lone attempts."""
        home: Waiting | None = None
        lone: list[Waiting] = []
        at = self._held.index.at
        for key in keys:
            for waiting in at(key):
                if waiting.edges:
                    home = waiting if home is None or home is waiting else self._unite(home, waiting)
                else:
                    for other in lone:
                        if other is waiting:
                            break
                    else:
                        lone.append(waiting)
        return home, lone

    def _add_attempt(self, attempt: GatewayRecord, arrival_ns: int) -> None:
        keys, crowded = self._keys(attempt.request_ids[::-1], attempt.gateway_request_id)
        for key in keys:
            for waiting in self._held.index.at(key):
                if key in waiting.edge_keys:
                    if arrival_ns - attempt.started_us * 1000 > self._limits.window_ns:
                        waiting.look_up = True  # the attempt may be stored, without its edge record
                    if Source.KONG not in self._waits_ns:
                        self._waits_ns[Source.KONG] = arrival_ns - waiting.arrival_ns
                    self._join_edge(waiting, attempt, keys)
                    return
                if not waiting.edges and self._is_copy(waiting, attempt):
                    waiting.copies = (*waiting.copies, (Source.KONG, attempt.offset))
                    return
        keys, crowded, seen = self._recalled(attempt.request_ids[::-1], attempt.gateway_request_id)
        look_up = seen or self._is_late(attempt.started_us, arrival_ns)
        if keys:
            self._held.hold(Waiting(arrival_ns, keys, (), (), (attempt,), look_up, crowded))
        else:
            self._ready.append(Group([], [attempt], "complete", look_up, crowded))

    def _join_edge(self, home: Waiting, attempt: GatewayRecord, keys: Sequence[int]) -> None:
        """Put an attempt to the edge record that waits for it."""
        edges, attempts = self._edges_of(home), self._attempts_of(home)
        if attempts and any(other.attempt_id == attempt.attempt_id for other in attempts):
            home.copies = (*home.copies, (Source.KONG, attempt.offset))
            return
        attempts.append(attempt)
        if is_complete(edges, attempts):
            self._close(home, edges, attempts, "complete", keys)
            return
        self._held.extend(home, attempts=(attempt,), keys=keys)
        self._check_crowd(home, edges, attempts)

    def _keys(self, request_ids: Sequence[str], gateway_id: str | None) -> tuple[tuple[int, ...], bool]:
        """Give the keys a record is found by, and whether one of its ids has turned out a constant."""
        keys, crowded = [], False
        constants = self._held.index.constants
        for request_id in request_ids:
            if can_be_joined_on(request_id):
                key = hash(request_id) & _KEY_BITS
                if constants and key in constants:
                    crowded = True
                else:
                    keys.append(key)
        if gateway_id:
            keys.append((hash(gateway_id) ^ _KEY_B) & _KEY_BITS)
        return tuple(keys), crowded

    def _recalled(
        self, request_ids: Sequence[str], gateway_id: str | None
    ) -> tuple[tuple[int, ...], bool, bool]:
        """Give the same, and whether a group with one of the keys has been closed a short while ago.

        An id of ever new groups is a constant, too.
        """
        keys, crowded = self._keys(request_ids, gateway_id)
        closed, most = self._recent.most_closed(keys), self._limits.max_per_key
        if closed > most and sum(self._shun_often_closed(request_id, most) for request_id in request_ids):
            keys, crowded = self._keys(request_ids, gateway_id)
            closed = self._recent.most_closed(keys)
        return keys, crowded, closed > 0

    def _shun_often_closed(self, request_id: str, most: int) -> bool:
        key = hash(request_id) & _KEY_BITS
        if self._recent.count(key) <= most:
            return False
        self._held.index.mark_constant(key)
        return True

    def _is_late(self, start_us: int, arrival_ns: int) -> bool:
        """Whether another half, or a copy, may have come and been closed since the request began."""
        lag_ns, window_ns = arrival_ns - start_us * 1000, self._limits.window_ns
        return lag_ns > window_ns or -2 * lag_ns > window_ns

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
                self._held.index.mark_constant(hash(request_id) & _KEY_BITS)
        home.crowded = True
        self._close(home, edges, attempts, "window", ())

    def _expire(self, oldest: Waiting, closed: Closed) -> None:
        """Close what waits longest; lone attempts go with those that wait under the same request id."""
        try:
            edges, attempts = self._unpacked((oldest,))
        except msgspec.MsgspecError:
            self._give_up(oldest)
            return
        if not edges:
            if self._held.index.is_constant(oldest.keys[0]):
                oldest.crowded = True
            else:
                for sibling in self._held.lone_siblings(oldest):
                    try:
                        attempts += self._unpacked((sibling,))[1]
                    except msgspec.MsgspecError:
                        continue  # its own turn comes
                    oldest.copies += sibling.copies
                    oldest.look_up |= sibling.look_up
                    self._recent.add(sibling.keys)
                    self._held.forget(sibling)
        self._close(oldest, edges, attempts, closed, ())

    def _give_up(self, waiting: Waiting) -> None:
        """Let go of records that cannot be read back, as far as they can be told."""
        edges, attempts = self._held.packing.salvaged(waiting)
        self._held.forget(waiting)
        self._broken.append(Group(edges, attempts, "window", look_up=False, copies=waiting.copies))

    def _close(
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
        self._recent.add(waiting.keys)
        if more_keys and more_keys != waiting.keys:
            self._recent.add([key for key in dict.fromkeys(more_keys) if key not in waiting.keys])
        self._ready.append(Group(edges, attempts, closed, waiting.look_up, waiting.crowded, waiting.copies))

    def _unpacked(self, group: Iterable[Waiting]) -> tuple[list[EdgeRecord], list[GatewayRecord]]:
        edges: list[EdgeRecord] = []
        attempts: list[GatewayRecord] = []
        for waiting in group:
            edges += self._edges_of(waiting)
            attempts += self._attempts_of(waiting)
        return edges, attempts

    def _is_copy(self, waiting: Waiting, attempt: GatewayRecord) -> bool:
        return self._attempts_of(waiting)[0].attempt_id == attempt.attempt_id
