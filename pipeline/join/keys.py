"""The keys that records are found by: 60-bit hashes of their ids, salted by the process.

Ids that turn out constants, because too many records share them at once or one after the other, are no keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.join.ids import can_be_joined_on
from pipeline.join.index import WaitingIndex
from pipeline.join.limits import JoinLimits
from pipeline.join.recent import RecentKeys

_KEY_BITS = 2**60 - 1
"""What fits into two digits of a Python integer: a third less memory a key."""
_KEY_B = 0x5DEECE66D
"""Sets key B apart from key A: a client may send somebody's gateway request id as its request id."""


class Keys:
    """Makes keys, and knows which of them are constants or were closed a short while ago."""

    def __init__(self, limits: JoinLimits, index: WaitingIndex) -> None:
        self._index = index
        self._most = limits.max_per_key
        self._window_ns = limits.window_ns
        self.recent = RecentKeys(limits.window_ns, 2 * limits.max_pending)

    def shun(self, request_ids: Iterable[str]) -> None:
        """Join no more on request ids that have turned out constants."""
        for request_id in request_ids:
            self._index.mark_constant(hash(request_id) & _KEY_BITS)

    def of(self, request_ids: Sequence[str], gateway_id: str | None) -> tuple[tuple[int, ...], bool]:
        """Give the keys a record is found by, and whether one of its ids has turned out a constant."""
        keys, crowded = [], False
        constants = self._index.constants
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

    def recalled(
        self, request_ids: Sequence[str], gateway_id: str | None
    ) -> tuple[tuple[int, ...], bool, bool]:
        """Give the same, and whether a group with one of the keys has been closed a short while ago.

        An id of ever new groups is a constant, too.
        """
        keys, crowded = self.of(request_ids, gateway_id)
        closed, most = self.recent.most_closed(keys), self._most
        if closed > most and sum(self._shun_often_closed(request_id, most) for request_id in request_ids):
            keys, crowded = self.of(request_ids, gateway_id)
            closed = self.recent.most_closed(keys)
        return keys, crowded, closed > 0

    def _shun_often_closed(self, request_id: str, most: int) -> bool:
        key = hash(request_id) & _KEY_BITS
        if self.recent.count(key) <= most:
            return False
        self._index.mark_constant(key)
        return True

    def is_late(self, start_us: int, arrival_ns: int) -> bool:
        """Whether another half, or a copy, may have come and been closed since the request began."""
        lag_ns, window_ns = arrival_ns - start_us * 1000, self._window_ns
        return lag_ns > window_ns or -2 * lag_ns > window_ns
