"""Bus, sink and store: the promises that rooms make to the engine, as Protocols.

An implementation passes the suite of its Protocol in `tests/contracts/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pipeline.model import DeadLetter, Delivery, EdgeEvent, Lineage, Outcome, Source


class Account(NamedTuple):
    """Where every record of a bus is: `received = sum(outcomes) + pending`, per source."""

    outcomes: Mapping[Outcome, int]
    """Records that left, counted as the committed prefix passed them, and drops."""
    pending: Mapping[Source, int]
    """Records appended and not committed."""


class Bus(Protocol):
    """Keeps raw records from their arrival until what came of them is durable.

    Methods may be called from any thread or event loop, one reader at a time.
    """

    async def append(self, delivery: Delivery) -> None:
        """Keep a delivery; on return it survives a kill and a power cut.

        Raises:
            BusFull: Nothing was kept; the caller tells its peer, or counts a drop.
        """
        ...

    def append_nowait(self, delivery: Delivery) -> None:
        """Keep a delivery for a source that cannot wait (datagrams).

        What does not fit is counted as dropped with the reason `bus_full`. Never raises, never blocks.
        """
        ...

    async def read(self, limit: int, wait_s: float) -> list[Delivery]:
        """Give what comes next, in offset order, about `limit` records at most.

        Starts at the committed offset, so a new reader sees again whatever was not committed.
        Waits up to `wait_s` for the first; an empty list says that nothing came.
        """
        ...

    async def commit(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        """Say that all records below `offset` are durable elsewhere, and what became of them.

        `outcomes` counts the records that this commit passes. Both change together or not at all.
        """
        ...

    def count_drop(self, source: Source, reason: str, count: int) -> None:
        """Count records that never reached the bus (kernel drops, refused peers); durable soon after."""
        ...

    def account(self) -> Account:
        """Give the account as of now; it reconciles at any moment."""
        ...

    @property
    def committed(self) -> int:
        """The offset a restart would begin at."""
        ...

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        ...

    @property
    def fill(self) -> float:
        """Share of the byte cap that is in use, 0.0 to 1.0; 0.0 where there is no cap."""
        ...


class Batch(NamedTuple):
    """Rows that are made durable together."""

    lineages: Sequence[Lineage]
    """Tombstones after the rows that absorbed them."""
    events: Sequence[EdgeEvent]
    dead_letters: Sequence[DeadLetter]


class LookupKey(NamedTuple):
    """What a group is looked for by before it is written."""

    bucket_s: int
    """The group's own; rows one hour either way are looked at where it is an hour's."""
    request_ids: tuple[str, ...]
    gateway_request_ids: tuple[str, ...]
    rec_ids: tuple[int, ...] = ()
    """Rows of these names in the bucket, for records without any other id."""


class Store(Protocol):
    """Where lineages rest. One writer at a time."""

    async def write(self, batch: Batch) -> Sequence[DeadLetter]:
        """Make a batch durable, on return or not at all; the same batch twice gives the same rows once.

        Returns:
            Dead letters that were stored instead of rows which the store will never take for what they
            hold; nearly always none.

        Raises:
            StoreUnavailable: It may pass later; nothing may be committed.
        """
        ...

    async def find_stored(self, keys: Sequence[LookupKey]) -> list[Lineage]:
        """Give every live row that shares a request id, gateway request id or name with any of the keys.

        Raises:
            StoreUnavailable: The answer is unknown; nothing may be written for these keys.
        """
        ...

    def may_hold(self, bucket_s: int) -> bool:
        """Whether rows written before this process began may exist near this bucket."""
        ...
