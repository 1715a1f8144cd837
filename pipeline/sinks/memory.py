"""A store that forgets with its process: for tests, and for trying a configuration on real logs."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import msgspec

from pipeline.contracts import MOST_PER_ID, Batch, Fragment, LookupKey, Packed
from pipeline.model import DeadLetter, EdgeEvent, EdgeRecord, GatewayRecord, LedgerRow, Lineage, StoreKey

_HOUR_S = 3600


class UnpackedRows(list[Lineage]):
    """Rows that wait as they are."""

    @property
    def size(self) -> int:
        """How many bytes they take as JSON."""
        return sum(len(msgspec.json.encode(row)) for row in self)

    def rows(self) -> list[Lineage]:
        """Give them."""
        return self

    def sharing(self, ids: AbstractSet[str | int]) -> list[Lineage]:
        """Give those that can be found by any of some ids."""
        return [row for row in self if not ids.isdisjoint(row.ids())]


class MemoryStore:
    """Keeps, as the real one does, the highest `rev` of each key; obeys the suite of the `Store` contract.

    Args:
        is_shared: Whether several engines write to it.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        self.is_shared = is_shared
        self._kept: dict[bytes, EdgeRecord | GatewayRecord] = {}
        self._rows: dict[StoreKey, Lineage] = {}
        self._events: dict[int, EdgeEvent] = {}
        self._dead_letters: dict[int, DeadLetter] = {}
        self.ledger: dict[tuple[int, str, str, str, str], LedgerRow] = {}
        """By minute, instance, source, kind and reason: the later look counts."""

    def pack(self, lineages: Sequence[Lineage]) -> Packed:
        """Keep rows as they are."""
        return UnpackedRows(lineages)

    async def write(self, batch: Batch) -> list[DeadLetter]:
        """Keep a batch; nothing is ever refused."""
        for row in batch.all_lineages():
            key = StoreKey(row.bucket_s, row.request_id, row.rec_id)
            before = self._rows.get(key)
            if before is None or row.rev >= before.rev:
                self._rows[key] = row
        self._events |= {event.offset: event for event in batch.events}
        self._dead_letters |= {dead.offset: dead for dead in batch.dead_letters}
        for look in batch.ledger:
            name = (look.minute_s, look.instance, look.source, look.kind, look.reason)
            if name not in self.ledger or self.ledger[name].taken_ns <= look.taken_ns:
                self.ledger[name] = look
        return []

    async def find_stored(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[Lineage]:
        """Give the live rows that share an id with any of the keys; a bounded number of each id."""
        wanted = {one for key in keys for one in key.ids}
        counts = Counter[str | int]()
        found = []
        for row in self.lineages:
            shared = wanted.intersection(row.ids())
            if any(counts[one] < most_per_id for one in shared):
                found.append(row)
            counts.update(shared)
        return found

    async def keep(self, fragments: Sequence[Fragment]) -> None:
        """Keep records, but those that cannot be packed."""
        for fragment in fragments:
            with contextlib.suppress(ValueError, OverflowError, TypeError):
                self._kept[msgspec.json.encode(fragment.record)] = fragment.record

    async def find_kept(
        self,
        keys: Sequence[LookupKey],
        *,
        most_per_id: int = MOST_PER_ID,  # noqa: ARG002 -- a process's own memory is small
    ) -> list[EdgeRecord | GatewayRecord]:
        """Give kept records that share an id with any of the keys."""
        wanted = {one for key in keys for one in key.ids}
        return [record for record in self._kept.values() if not wanted.isdisjoint(_names(record))]

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


def _names(record: EdgeRecord | GatewayRecord) -> set[str | int | None]:
    if isinstance(record, EdgeRecord):
        return {record.rec_id, record.request_id or None, record.gateway_request_id}
    return {record.attempt_id, record.gateway_request_id, *record.request_ids}
