"""Buses, patience, and the captured Kong bodies for the tests of this room."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from pipeline.bus.journal import Journal, open_journal
from pipeline.bus.memory import MemoryBus
from pipeline.clock import SystemClock
from pipeline.contracts import Bus
from pipeline.errors import BusFull
from pipeline.model import Delivery, Outcome, OutcomeKind, Source
from pipeline.sources.stats import SourceStats

PATIENCE_S = 20.0
CAPTURES = Path(__file__).parents[1] / "captures"

Take = Callable[[Bus, int], Awaitable[list[Delivery]]]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
Drops = Callable[[Bus], dict[str, int]]


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
def stats() -> SourceStats:
    return SourceStats()


@pytest.fixture
async def full_journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """A journal that has just refused a delivery."""
    async with open_journal(tmp_path / "journal", 2**20) as journal:
        delivery = Delivery(Source.KONG, [b"x" * 50_000], 1_700_000_000_000_000_000, "")
        kept = 0
        with contextlib.suppress(BusFull):
            while kept < 100:
                await journal.append(delivery)
                kept += 1
        assert kept < 100
        yield journal


@pytest.fixture
def empty() -> Callable[[Bus], Awaitable[None]]:
    """Read a bus dry, and commit all of it as stored."""

    async def empty(bus: Bus) -> None:
        counts: dict[Outcome, int] = {}
        while deliveries := await bus.read(1000, 0.0):
            for delivery in deliveries:
                stored = Outcome(delivery.source, OutcomeKind.STORED)
                counts[stored] = counts.get(stored, 0) + len(delivery.bodies)
        await bus.commit(bus.end, counts)

    return empty


@pytest.fixture
def take() -> Take:
    """Read deliveries until they hold a number of records."""

    async def take(bus: Bus, records: int) -> list[Delivery]:
        found: list[Delivery] = []
        deadline = time.monotonic() + PATIENCE_S
        while sum(len(delivery.bodies) for delivery in found) < records:
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"only {found} came"
            found += await bus.read(100_000, left_s)
        return found

    return take


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something is so."""

    async def eventually(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 -- conditions of other threads set no event
                await asyncio.sleep(0.002)

    return eventually


@pytest.fixture
def drops() -> Drops:
    """Give what a bus counts as dropped, by reason."""

    def drops(bus: Bus) -> dict[str, int]:
        outcomes = bus.account().outcomes
        return {left.reason: count for left, count in outcomes.items() if left.kind is OutcomeKind.DROPPED}

    return drops


@pytest.fixture
def udp_sender() -> Iterator[Callable[..., socket.socket]]:
    """Give sockets connected to an address, bound to one of ours where told."""
    opened: list[socket.socket] = []

    def connect(address: str, source: str = "") -> socket.socket:
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        sender = socket.socket(family, socket.SOCK_DGRAM)
        opened.append(sender)
        if source:
            sender.bind((source, 0))
        sender.connect((host.strip("[]"), int(port)))
        return sender

    yield connect
    for sender in opened:
        sender.close()


@pytest.fixture(scope="session")
def corpus_bodies() -> list[bytes]:
    """The http-log bodies of the corpus, as Kong 3.9.1 sent them."""
    bodies = []
    for line in (CAPTURES / "kong" / "corpus" / "kong.jsonl").read_bytes().splitlines():
        post = json.loads(line)
        wrapped = post.get("body_b64")
        bodies.append(base64.b64decode(wrapped) if wrapped else post["body"].encode())
    return bodies


@pytest.fixture(scope="session")
def corpus_lines() -> list[bytes]:
    """The lines that HAProxy 2.6.12 wrote for the same requests."""
    return (CAPTURES / "kong" / "corpus" / "haproxy.log").read_bytes().splitlines()
