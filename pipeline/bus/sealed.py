"""A bus that is given redacted records: for those whose bus others can read (`redaction.redact_at: ingest`).

Back pressure and delivery are those of the bus within; sealing parses each record on the thread that gives it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pipeline.contracts import Account, Bus, Inlet
from pipeline.formats.sealed import Sealer
from pipeline.model import Delivery, Outcome, Source


class SealedInlet:
    """Hands everything on to a bus, records sealed; an `Inlet`."""

    def __init__(self, bus: Inlet, sealer: Sealer) -> None:
        self._inlet = bus
        self._sealer = sealer

    async def append(self, delivery: Delivery) -> None:
        """Seal the records and keep them."""
        await self._inlet.append(self._sealed(delivery))

    def append_nowait(self, delivery: Delivery) -> None:
        """Seal the records and keep them, or count them as dropped."""
        self._inlet.append_nowait(self._sealed(delivery))

    def count_drop(self, source: Source, reason: str, count: int) -> None:
        """Count records that never reached the bus."""
        self._inlet.count_drop(source, reason, count)

    @property
    def fill(self) -> float:
        """Share of the byte cap in use."""
        return self._inlet.fill

    def _sealed(self, delivery: Delivery) -> Delivery:
        seal = self._sealer.seal
        bodies = [
            seal(delivery.source, body, arrival_ns=delivery.arrival_ns, peer=delivery.peer)
            for body in delivery.bodies
        ]
        return msgspec.structs.replace(delivery, bodies=bodies)


class SealedBus(SealedInlet):
    """The same over a whole bus; a `Bus`."""

    def __init__(self, bus: Bus, sealer: Sealer) -> None:
        super().__init__(bus, sealer)
        self._bus = bus

    async def read(self, limit: int, wait_s: float) -> list[Delivery]:
        """Give what comes next, still sealed: `Unsealer` reads it."""
        return await self._bus.read(limit, wait_s)

    async def commit(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        """Let records leave."""
        await self._bus.commit(offset, outcomes)

    def account(self) -> Account:
        """Give the account."""
        return self._bus.account()

    def accounts(self) -> Mapping[str, Account]:
        """Give the account of each part."""
        return self._bus.accounts()

    @property
    def committed(self) -> int:
        """The offset a restart would begin at."""
        return self._bus.committed

    @property
    def end(self) -> int:
        """The offset that the next record will get."""
        return self._bus.end
