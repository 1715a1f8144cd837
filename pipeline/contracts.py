"""Bus, sink and store: the promises that rooms make to the engine, as Protocols.

An implementation passes the suite of its Protocol in `tests/contracts/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import NamedTuple, Protocol

from pipeline.model import (
    DeadLetter,
    Delivery,
    EdgeEvent,
    EdgeRecord,
    GatewayRecord,
    LedgerRow,
    Lineage,
    Outcome,
    Source,
)


class Account(NamedTuple):
    """Where every record of a bus is: `received = sum(outcomes) + pending`, per source."""

    outcomes: Mapping[Outcome, int]
    """Records that left, counted as the committed prefix passed them, and drops."""
    pending: Mapping[Source, int]
    """Records appended and not committed."""
    committed: int = -1
    """The committed offset that belongs to these numbers; -1 where positions are none of one line."""
    gone: Mapping[Source, int] = MappingProxyType({})
    """Messages of many records each that a topic's retention removed unread; no record of theirs is in the account."""


class Inlet(Protocol):
    """The side of a bus that sources give to. Methods may be called from any thread or event loop."""

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

    def count_drop(self, source: Source, reason: str, count: int) -> None:
        """Count records that never reached the bus (kernel drops, refused peers); durable soon after."""
        ...

    @property
    def fill(self) -> float:
        """Share of the byte cap that is in use, 0.0 to 1.0; 0.0 where there is no cap."""
        ...


class Outlet(Protocol):
    """The side of a bus that an engine reads; one reader at a time."""

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

    def account(self) -> Account:
        """Give the account as of now; it reconciles at any moment."""
        ...

    def accounts(self) -> Mapping[str, Account]:
        """Give the account by the part of the bus that keeps it, named for good; they sum to `account()`.

        A part's numbers never fall while they are durable, whichever process has it: the ledger is made of
        them.
        """
        ...

    @property
    def committed(self) -> int:
        """The offset a restart would begin at."""
        ...

    @property
    def fill(self) -> float:
        """Share of the byte cap that is in use, 0.0 to 1.0; 0.0 where there is no cap."""
        ...


class Bus(Inlet, Outlet, Protocol):
    """Keeps raw records from their arrival until what came of them is durable.

    Methods may be called from any thread or event loop, one reader at a time.
    """

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        ...


class Packed(Protocol):
    """Rows in the form in which a store takes them, a fifth as large: they need not wait for their batch as objects."""

    def __len__(self) -> int:
        """How many rows they are."""
        ...

    @property
    def size(self) -> int:
        """About how many bytes they take."""
        ...

    def rows(self) -> list[Lineage]:
        """Give them back."""
        ...

    def sharing(self, ids: AbstractSet[str | int]) -> list[Lineage]:
        """Give those back that can be found by any of some ids, as `Lineage.ids` gives them."""
        ...


class Batch(NamedTuple):
    """Rows that are made durable together."""

    lineages: Sequence[Lineage]
    """Tombstones after the rows that absorbed them."""
    events: Sequence[EdgeEvent]
    dead_letters: Sequence[DeadLetter]
    ledger: Sequence[LedgerRow] = ()
    packed: Sequence[Packed] = ()
    """Rows that come before `lineages`, packed by the store that they go to; no tombstones."""

    def all_lineages(self) -> list[Lineage]:
        """Give the lineages, packed ones too, in their order."""
        return [*(row for piece in self.packed for row in piece.rows()), *self.lineages]


class LookupKey(NamedTuple):
    """What a group is looked for by before it is written."""

    bucket_s: int
    """The group's own; rows one hour either way are looked at where it is an hour's."""
    request_ids: tuple[str, ...]
    gateway_request_ids: tuple[str, ...]
    rec_ids: tuple[int, ...] = ()
    """Rows of these names in the bucket, for records without any other id."""

    @property
    def ids(self) -> tuple[str | int, ...]:
        """All of them."""
        return (*self.request_ids, *self.gateway_request_ids, *self.rec_ids)


class Fragment(NamedTuple):
    """A record that is kept by itself while its other half is looked for."""

    bucket_s: int
    """Where its lineage would have its place if nothing more came."""
    record: EdgeRecord | GatewayRecord


MOST_PER_ID = 1000
"""Rows of one id that a look-up gives unless told: an id that is shared by so many is a constant."""


class Store(Protocol):
    """Where lineages rest. Each writer writes one batch at a time."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write to it meanwhile: then what may lack a half is kept first."""
        ...

    async def keep(self, fragments: Sequence[Fragment]) -> None:
        """Keep records so that every later `find_kept`, of any process, gives them; for a day or longer.

        Called, in a shared store, before the look-up of what is late or lacks a half. What cannot be kept for
        what it holds is left out: `write` tells of it.

        Raises:
            StoreUnavailable: It may pass later.
        """
        ...

    async def find_kept(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[EdgeRecord | GatewayRecord]:
        """Give kept records that share a request id, gateway request id or name with any of the keys.

        Raises:
            StoreUnavailable: The answer is unknown; nothing may be written for these keys.
        """
        ...

    def pack(self, lineages: Sequence[Lineage]) -> Packed:
        """Pack rows for a batch; never raises, since what it cannot pack it will refuse when it is written."""
        ...

    async def write(self, batch: Batch) -> Sequence[DeadLetter]:
        """Make a batch durable, on return or not at all; the same batch twice gives the same rows once.

        Returns:
            Dead letters that were stored instead of rows which the store will never take for what they
            hold; nearly always none.

        Raises:
            StoreUnavailable: It may pass later; nothing may be committed.
        """
        ...

    async def find_stored(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[Lineage]:
        """Give the live rows that share a request id, gateway request id or name with any of the keys.

        Of an id that more rows share, `most_per_id` of them come, and it does not matter which.

        Raises:
            StoreUnavailable: The answer is unknown; nothing may be written for these keys.
        """
        ...

    def may_hold(self, bucket_s: int) -> bool:
        """Whether rows written before this process began may exist near this bucket."""
        ...
