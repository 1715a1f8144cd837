"""What the demo's tests share: the declared configuration, a place that takes posts, a running gateway."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.demo.declared import Declared, load_declared
from pipeline.demo.gateway import Gateway, gateway_listeners
from pipeline.demo.http1 import Answer, Headers, HttpConnection
from pipeline.demo.http_listener import Exchange, Reply, http_listener
from pipeline.demo.kong_entry import Served
from pipeline.demo.log_queue import LogQueue, open_log_queue
from pipeline.demo.upstreams import open_upstreams
from pipeline.resources import resource

VARIABLES = {
    "DECK_MOBILE_APP_KEY": "mobile-key",
    "DECK_ACME_KEY": "acme-key",
    "DECK_BILLING_BATCH_SECRET": "signing-secret",
    "LINEAGE_LOG_SECRET": "log-secret",
}
DEADLINE_S = 15.0


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the test fails when it does not come true."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 -- some conditions are seen by other processes alone
            await asyncio.sleep(0.005)


@dataclass(slots=True)
class Taker:
    """Takes posts as Hoptrail would, and keeps what came; refuses as often as it is told."""

    url: str = ""
    refuse: int = 0
    posts: list[tuple[Headers, bytes]] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)

    async def handle(self, exchange: Exchange) -> Reply:
        if self.refuse:
            self.refuse -= 1
            self.refused.append(exchange.request.body)
            return Reply(503, [("Content-Length", "0")], b"")
        self.posts.append((exchange.request.headers, exchange.request.body))
        return Reply(200, [("Content-Length", "2")], b"ok")

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Every entry that came, in order."""
        return [entry for _, body in self.posts for entry in json.loads(body)]

    @staticmethod
    async def until(condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        await wait_until(condition)

    async def wait_for(self, count: int) -> None:
        """Wait for as many entries."""
        await wait_until(lambda: len(self.entries) >= count)


@dataclass(slots=True)
class Bench:
    """A gateway with its upstreams, and a client."""

    ports: list[int]
    status_port: int
    taker: Taker
    gateway: Gateway
    log: LogQueue

    async def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send one request to the gateway."""
        connection = await HttpConnection.open("127.0.0.1", self.ports[0])
        try:
            return await connection.exchange(method, target, [("Host", "api.example.com"), *headers], body)
        finally:
            await connection.close()

    @staticmethod
    async def until(condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        await wait_until(condition)

    async def requests_begun(self, count: int) -> None:
        """Wait until the gateway has begun as many requests."""
        await wait_until(lambda: self.gateway.begun >= count)

    async def entry(self, count: int = 1) -> dict[str, Any]:
        """Wait for the gateway's entry number `count` and give it."""
        await self.taker.wait_for(count)
        return self.taker.entries[count - 1]


@pytest.fixture
def declared() -> Declared:
    return load_declared(resource("deploy/kong/kong.yml"), VARIABLES, 1_795_459_335)


@pytest.fixture
async def taker() -> AsyncIterator[Taker]:
    taker = Taker()
    async with http_listener(taker.handle) as (host, port):
        taker.url = f"http://{host}:{port}/ingest/kong"
        yield taker


@pytest.fixture
def fate() -> Callable[[Served], float | None]:
    """Entries go at once; a test may say otherwise."""
    return lambda _: 0.0


@pytest.fixture
async def bench(
    declared: Declared, taker: Taker, fate: Callable[[Served], float | None]
) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        quick = {**declared.http_log, "queue": {**declared.http_log["queue"], "max_coalescing_delay": 0.01}}
        places = await enter(open_upstreams())
        log = await enter(open_log_queue(quick, taker.url))
        gateway = Gateway(declared, places, log, fate=fate, chance=random.Random(7))
        ports, status_port = await enter(gateway_listeners(gateway, 2))
        yield Bench(ports, status_port, taker, gateway, log)


@pytest.fixture
def captures() -> Path:
    """Where entries captured from Kong 3.9.1 lie."""
    return Path(__file__).resolve().parents[1] / "captures" / "kong"
