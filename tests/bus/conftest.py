"""What the tests of this room share: small deliveries, patience, and reading a bus dry."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from pipeline.contracts import Bus
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

PATIENCE_S = 30.0


@pytest.fixture
def line() -> Callable[..., Delivery]:
    """Make a delivery of HAProxy's."""

    def made(*bodies: bytes, source: Source = Source.HAPROXY) -> Delivery:
        return Delivery(source, list(bodies), 1_700_000_000_000_000_000, "192.0.2.7")

    return made


@pytest.fixture
def stored() -> Callable[[Iterable[Delivery]], Counter[Outcome]]:
    """Count every record of some deliveries as stored."""

    def counted(deliveries: Iterable[Delivery]) -> Counter[Outcome]:
        outcomes: Counter[Outcome] = Counter()
        for each in deliveries:
            outcomes[Outcome(each.source, OutcomeKind.STORED)] += len(each.bodies)
        return outcomes

    return counted


@pytest.fixture
def bodies_of() -> Callable[[Bus], asyncio.Future[list[bytes]]]:
    """Read everything that a bus holds and has not handed out."""

    async def read(bus: Bus) -> list[bytes]:
        found: list[bytes] = []
        while got := await bus.read(1000, 0.0):
            found += [body for each in got for body in each.bodies]
        return found

    return read  # type: ignore[return-value] # a coroutine function


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], asyncio.Future[None]]:
    """Wait until a condition holds; fails after half a minute."""

    async def waited(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 -- conditions of other threads have no event
                await asyncio.sleep(0.001)

    return waited  # type: ignore[return-value] # a coroutine function
