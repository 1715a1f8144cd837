"""A store that forgets with its process: for tests, and for trying a configuration on real logs."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.contracts import Batch, LookupKey
from pipeline.model import DeadLetter, EdgeEvent, Lineage, StoreKey

_HOUR_S = 3600


class MemoryStore:
    """Keeps, as the real one does, the highest `rev` of each key; obeys the suite of the `Store` contract."""

    def __init__(self) -> None:
        self._rows: dict[StoreKey, Lineage] = {}
        self._events: dict[int, EdgeEvent] = {}
        self._dead_letters: dict[int, DeadLetter] = {}

    async def write(self, batch: Batch) -> list[DeadLetter]:
        """Keep a batch; nothing is ever refused."""
        for row in batch.lineages:
            key = StoreKey(row.bucket_s, row.request_id, row.rec_id)
            before = self._rows.get(key)
            if before is None or row.rev >= before.rev:
                self._rows[key] = row
        self._events |= {event.offset: event for event in batch.events}
        self._dead_letters |= {dead.offset: dead for dead in batch.dead_letters}
        return []

    async def find_stored(self, keys: Sequence[LookupKey]) -> list[Lineage]:
        """Give every live row that shares an id with any of the keys."""
        request_ids = {request_id for key in keys for request_id in key.request_ids}
        gateway_ids = {gateway_id for key in keys for gateway_id in key.gateway_request_ids}
        names = {(key.bucket_s, rec_id) for key in keys for rec_id in key.rec_ids}
        return [
            row
            for row in self.lineages
            if (row.bucket_s, row.rec_id) in names
            or not request_ids.isdisjoint(_request_ids(row))
            or not gateway_ids.isdisjoint(_gateway_ids(row))
        ]

    def may_hold(self, bucket_s: int) -> bool:
        """Whether anything is kept near a bucket."""
        return any(abs(key.bucket_s - bucket_s) <= _HOUR_S for key in self._rows)

    @property
    def lineages(self) -> list[Lineage]:
        """The live rows."""
        return [row for row in self._rows.values() if not row.is_deleted]

    @property
    def events(self) -> list[EdgeEvent]:
        """The events, each once."""
        return list(self._events.values())

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters, each once."""
        return list(self._dead_letters.values())


def _request_ids(row: Lineage) -> set[str]:
    return {row.request_id, *(one for attempt in row.attempts for one in attempt.request_ids)} - {""}


def _gateway_ids(row: Lineage) -> set[str]:
    ids = {attempt.gateway_request_id for attempt in row.attempts}
    if row.edge is not None:
        ids.add(row.edge.gateway_request_id)
    return {one for one in ids if one}
