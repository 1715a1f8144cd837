"""Where halves meet in memory: records in, groups out; time is an argument.

An edge record gathers the attempts that carry its request id (key A) or whose gateway request id it
captured (key B). An attempt whose edge record is not there yet waits alone, so that a request id which
clients chose gathers no strangers. All wait until what the edge record lets expect has come, or until the
window ends, counted from the arrival stamp of the edge record, or of the lone attempt. Waiting halves are
held packed, but for those that came last; keys are 60-bit hashes, salted by the process. A collision only
gathers too much: the match rules of `resolve` look at the ids themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from pipeline.join.closing import Closing
from pipeline.join.complete import is_complete
from pipeline.join.expect import expected_of
from pipeline.join.group import Group
from pipeline.join.held import Held
from pipeline.join.index import Waiting
from pipeline.join.keys import Keys
from pipeline.join.limits import JoinLimits
from pipeline.model import EdgeRecord, GatewayRecord, Source


class Joiner:
    """Gathers records by their ids; pure but for what it holds."""

    def __init__(self, limits: JoinLimits) -> None:
        self._limits = limits
        self._held = Held(limits.max_per_key)
        self._edges_of, self._attempts_of = self._held.packing.edges_of, self._held.packing.attempts_of
        self._waits_ns: dict[Source, int] = {}
        self._keys = Keys(limits, self._held.index)
        self._out = Closing(self._held, self._keys, limits.max_per_key)

    @property
    def most_per_key(self) -> int:
        """Records that may share an id."""
        return self._limits.max_per_key

    def shun(self, request_id: str) -> None:
        """Join no more on a request id that has turned out a constant."""
        self._keys.shun((request_id,))

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
            self._out.expire(oldest, "window")
        self._out.relieve(self._limits.max_pending)
        for waiting in self._held.pack_all_but(self._limits.max_unpacked):
            self._out.give_up(waiting)
        self._keys.recent.turn(now_ns)
        return self._out.take_ready()

    def evict(self, count: int) -> list[Group]:
        """Give up about `count` of the longest waiting halves."""
        self._out.relieve(max(0, self.pending - count))
        return self._out.take_ready()

    def flush(self, most: int | None = None) -> list[Group]:
        """End every window, or about `most` of them: nothing more will come."""
        until = 0 if most is None else max(0, self.pending - most)
        while self.pending > until and (oldest := self._held.oldest) is not None:
            self._out.expire(oldest, "window")
        return self._out.take_ready()

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
            edges, attempts = self._out.unpacked(parts)
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
        return self._out.take_broken()

    def _add_edge(self, edge: EdgeRecord, arrival_ns: int) -> None:
        keys, crowded, seen = self._keys.recalled((edge.request_id,), edge.gateway_request_id)
        home, lone = self._found_by(keys)
        if home is None:
            look_up = seen or self._keys.is_late(edge.start_us, arrival_ns)
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
            self._out.close(home, edges, attempts, "complete", more_keys)
            return
        home.edge_keys = tuple(dict.fromkeys(home.edge_keys + keys))
        if not home.edges:
            self._held.hold(home)
        self._held.extend(home, edges=(edge,), attempts=absorbed, keys=more_keys)
        self._out.check_crowd(home, edges, attempts)

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
        keys, crowded = self._keys.of(attempt.request_ids[::-1], attempt.gateway_request_id)
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
        keys, crowded, seen = self._keys.recalled(attempt.request_ids[::-1], attempt.gateway_request_id)
        look_up = seen or self._keys.is_late(attempt.started_us, arrival_ns)
        if keys:
            self._held.hold(Waiting(arrival_ns, keys, (), (), (attempt,), look_up, crowded))
        else:
            self._out.hand_on(Group([], [attempt], "complete", look_up, crowded))

    def _join_edge(self, home: Waiting, attempt: GatewayRecord, keys: Sequence[int]) -> None:
        """Put an attempt to the edge record that waits for it."""
        edges, attempts = self._edges_of(home), self._attempts_of(home)
        if attempts and any(other.attempt_id == attempt.attempt_id for other in attempts):
            home.copies = (*home.copies, (Source.KONG, attempt.offset))
            return
        attempts.append(attempt)
        if is_complete(edges, attempts):
            self._out.close(home, edges, attempts, "complete", keys)
            return
        self._held.extend(home, attempts=(attempt,), keys=keys)
        self._out.check_crowd(home, edges, attempts)

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

    def _is_copy(self, waiting: Waiting, attempt: GatewayRecord) -> bool:
        return self._attempts_of(waiting)[0].attempt_id == attempt.attempt_id
