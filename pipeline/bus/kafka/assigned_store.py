"""The store as one partition's engine sees it: what others may have stored, and second chances.

A partition was somebody else's before: until what he may have read has been read again every group is looked up, and
for two windows of arrivals after that every group whose request may have begun by then.

An entry with several request ids lies in the partition of the last, which the edge should have added. Where it
found no edge record there, and its row is stored, a copy goes to the partition of each other id (`rekeyed`): there
its edge record waits, or is looked up. Copies are no records of the account, and are never copied again. An edge
record and an attempt that share the gateway request id alone find each other in the store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from pipeline.bus.kafka.keys import key_of, key_of_record, partition_of
from pipeline.bus.kafka.packing import Slice
from pipeline.bus.kafka.partition import PartitionBus
from pipeline.bus.kafka.positions import is_rekeyed
from pipeline.clock import Clock
from pipeline.contracts import MOST_PER_ID, Batch, Fragment, LookupKey, Packed, Store
from pipeline.formats.sealed import seal_record
from pipeline.model import DeadLetter, EdgeRecord, GatewayRecord, Lineage, Source

_HOUR_S = 3600
_SKEW_S = 5
"""How far the edge's clock may be ahead of ours."""
_MOST_COPIES = 50
"""In one message; they are smaller than records as they come."""

Produce = Callable[[Source, int, Sequence[Slice]], Awaitable[None]]
"""Puts copies into a partition, and returns when the replicas have them; raises StoreUnavailable."""


class Forgotten(Exception):  # noqa: N818 -- says what is the case
    """The partition has gone to another process: this engine must end where it is."""


class AssignedStore:
    """A `Store`.

    Args:
        store: Shared with the engines of other partitions.
        bus: The partition's.
        window_ns: The join's window.
        partitions: How many keys are spread over.
        check: Called before each write; says why this process may have lost its partitions, or nothing.
    """

    def __init__(
        self,
        store: Store,
        bus: PartitionBus,
        clock: Clock,
        *,
        window_ns: int,
        partitions: int,
        produce: Produce,
        check: Callable[[], str],
    ) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._window_ns = window_ns
        self._partitions = partitions
        self._produce = produce
        self._check = check
        self._horizon_ns = clock.now_ns()
        """When the last of what somebody else may have read had arrived; 0 until that is known."""

    async def write(self, batch: Batch) -> Sequence[DeadLetter]:
        """Store a batch, then give second chances.

        Raises:
            StoreUnavailable: It may pass later.
            Forgotten: The partition is no longer ours.
        """
        if why := self._check():
            self._bus.lose(why)
        if self._bus.is_lost:
            raise Forgotten
        refused = await self._store.write(batch)
        copies: dict[int, list[bytes]] = {}
        # Nothing packed needs a second chance: an attempt alone is kept and looked up first.
        for attempt, key in second_chances(batch.lineages):
            partition = partition_of(key, self._partitions)
            if partition != self._bus.number:
                copies.setdefault(partition, []).append(seal_record(attempt))
        for partition, bodies in copies.items():
            for at in range(0, len(bodies), _MOST_COPIES):
                piece = Slice("", self._clock.now_ns(), bodies[at : at + _MOST_COPIES])
                await self._produce(Source.KONG, partition, [piece])
        return refused

    def pack(self, lineages: Sequence[Lineage]) -> Packed:
        """Pack rows for the store."""
        return self._store.pack(lineages)

    @property
    def is_shared(self) -> bool:
        """Always: the engines of other partitions write too, in this process and in others."""
        return True

    async def keep(self, fragments: Sequence[Fragment]) -> None:
        """Keep records for whoever looks for their other halves."""
        await self._store.keep(fragments)

    async def find_kept(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[EdgeRecord | GatewayRecord]:
        """Ask the store for kept records."""
        return await self._store.find_kept(keys, most_per_id=most_per_id)

    async def find_stored(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[Lineage]:
        """Ask the store."""
        return await self._store.find_stored(keys, most_per_id=most_per_id)

    def may_hold(self, bucket_s: int) -> bool:
        """Whether somebody may have stored what is read now. What lies further back is late, and looked up anyway.

        Requests that began after all that he read are nobody's yet. Where a bucket is an hour it does not say
        when a request began: there two windows of arrivals must have passed.
        """
        if self._bus.is_rebuilding:
            self._horizon_ns = 0
            return True
        arrival_ns = self._bus.last_arrival_ns
        if not self._horizon_ns:
            self._horizon_ns = arrival_ns
        if arrival_ns >= self._horizon_ns + 2 * self._window_ns:
            return False
        return bucket_s % _HOUR_S == 0 or bucket_s <= self._horizon_ns // 10**9 + _SKEW_S


def second_chances(lineages: Iterable[Lineage]) -> Iterable[tuple[GatewayRecord, bytes]]:
    """Find attempts that stayed alone, with the other keys that they could be found under."""
    for row in lineages:
        if row.edge is None and row.final and not row.is_deleted:
            for attempt in row.attempts:
                yield from _chances_of_attempt(attempt)


def _chances_of_attempt(attempt: GatewayRecord) -> Iterable[tuple[GatewayRecord, bytes]]:
    if is_rekeyed(attempt.offset) or len(attempt.request_ids) < 2:  # noqa: PLR2004 -- its only id is its key
        return
    own = key_of_record(attempt)
    for request_id in dict.fromkeys(attempt.request_ids[:-1]):
        key = key_of((request_id,), None)
        if key and key != own:
            yield attempt, key
