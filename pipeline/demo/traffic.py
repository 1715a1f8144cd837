"""Live traffic: a client that asks for the ordinary, and now and then for each kind of trouble.

Every request is real and goes through the edge; what happens to it is up to edge, gateway and upstreams.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import httptools

from pipeline.demo.http1 import HttpConnection, request_bytes
from pipeline.demo.kong_entry import Served
from pipeline.demo.plugins import make_token

_HOST = "api.example.com"
_CLIENTS = 16
_PATIENCE_S = 10.0
_AGENTS = ("shop-ios/4.2", "shop-android/4.1", "Mozilla/5.0 (X11; Linux x86_64)", "curl/8.5.0")


class Wish(NamedTuple):
    """One kind of request."""

    name: str
    weight: int
    """How often among the ordinary ones; 0 for kinds that come by their turn alone."""
    method: str
    target: str
    """`{n}` stands for a number."""
    key: str = ""
    """Name of the secret sent as API key, or `jwt`, `expired_jwt`."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    leaves_after_s: float = 0.0
    """The client closes after this time; 0: it waits."""
    repeat: int = 1
    """How often in a row."""
    host: str = _HOST


_SPOOFED = (
    ("X-Request-ID", "ticket-4711-from-the-client"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("X-Consumer-Username", "root"),
    ("X-Forwarded-For", "192.0.2.66"),
)
_ORDER = b'{"sku":"tea-3","quantity":2}'

WISHES = (
    Wish("browse", 40, "GET", "/catalog/items/{n}"),
    Wish("search", 15, "GET", "/catalog/search?q=green+tea&page={n}"),
    Wish("order list", 14, "GET", "/orders?customer={n}", "mobile"),
    Wish("order", 10, "POST", "/orders", "mobile", body=_ORDER),
    Wish("partner feed", 5, "GET", "/feed/updates?since={n}", "acme"),
    Wish("payment", 8, "POST", "/payments/charges", "jwt", body=b'{"amount":1999,"currency":"EUR"}'),
    Wish("report", 3, "GET", "/reports/daily?day={n}&wait_ms=180", "mobile"),
    Wish("spoofed id", 0, "GET", "/catalog/items/{n}", headers=_SPOOFED),
    Wish("edge retry", 0, "GET", "/catalog/stock/{n}?busy=1"),
    Wish("edge retry twice", 0, "GET", "/catalog/stock/{n}?busy=2"),
    Wish("slow upstream", 0, "GET", "/reports/yearly?wait_ms=2600", "mobile"),
    Wish("client abort", 0, "GET", "/reports/monthly?wait_ms=1500", "mobile", leaves_after_s=0.3),
    Wish("rate limit", 0, "GET", "/feed/updates?since={n}", "acme", repeat=12),
    Wish("expired key", 0, "GET", "/orders?customer={n}", "old_key"),
    Wish("expired token", 0, "POST", "/payments/charges", "expired_jwt", body=b'{"amount":5}'),
    Wish("wrong group", 0, "GET", "/feed/updates", "mobile"),
    Wish("no route", 0, "GET", "/admin/console"),
    Wish("upstream fault", 0, "GET", "/catalog/items/{n}?status=500"),
    Wish("upstream closes", 0, "POST", "/payments/charges?drop=1", "jwt", body=b'{"amount":7}'),
    Wish("unknown host", 0, "GET", "/", host="old.example.com"),
    Wish("no server", 0, "GET", "/catalog/items/{n}", host="next.example.com"),
    Wish("late half", 0, "GET", "/catalog/items/{n}?half=late"),
    Wish("lost half", 0, "GET", "/catalog/items/{n}?half=lost"),
)


def fate_by_argument(late_s: float) -> Callable[[Served], float | None]:
    """Give the fate of entries that ask for one: `half=late` is sent after `late_s`, `half=lost` never."""

    def fate(served: Served) -> float | None:
        if served.uri.endswith("half=lost"):
            return None
        return late_s if served.uri.endswith("half=late") else 0.0

    return fate


@dataclass(slots=True)
class Seen:
    """What the client saw."""

    answered: dict[str, int] = field(default_factory=dict)
    """Status by the request id in the answer."""
    by_wish: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Request ids by kind of request."""
    sent: int = 0
    left: int = 0
    """Requests that the client gave up on purpose."""
    unanswered: int = 0


class Traffic:
    """Sends requests to an edge.

    Args:
        port: The edge's, on loopback.
        secrets: Values for the API keys `mobile`, `acme`, `old_key`, and the signing secret `jwt`.
        seed: Decides which requests come when.
    """

    def __init__(self, port: int, secrets: Mapping[str, str], seed: int) -> None:
        self._port = port
        self._secrets = secrets
        self._chance = random.Random(seed)  # noqa: S311 -- which request, no secret
        self._wishes: asyncio.Queue[Wish] = asyncio.Queue(maxsize=_CLIENTS)
        self.seen = Seen()

    async def run(self, *, rate: float, until: Callable[[], bool], every_trouble_s: float) -> None:
        """Send at a rate (a second) until told; every kind of trouble comes round once in a while."""
        async with asyncio.TaskGroup() as clients:
            tasks = [clients.create_task(self._client()) for _ in range(_CLIENTS)]
            await self._order_in_time(rate, until, every_trouble_s)
            await self._wishes.join()
            for task in tasks:
                task.cancel()

    async def _order_in_time(self, rate: float, until: Callable[[], bool], every_trouble_s: float) -> None:
        ordinary = [wish for wish in WISHES if wish.weight]
        weights = [wish.weight for wish in ordinary]
        troubles = [wish for wish in WISHES if not wish.weight]
        began, sent, troubled = time.monotonic(), 0, 0
        while not until():
            passed_s = time.monotonic() - began
            if passed_s * len(troubles) >= troubled * every_trouble_s:
                await self._wishes.put(troubles[troubled % len(troubles)])
                troubled += 1
            else:
                await self._wishes.put(self._chance.choices(ordinary, weights)[0])
            sent += 1
            await asyncio.sleep(max(0.0, sent / rate - (time.monotonic() - began)))

    async def _client(self) -> None:
        """One client with one connection, kept open between requests."""
        connection: HttpConnection | None = None
        try:
            while True:
                wish = await self._wishes.get()
                for _ in range(wish.repeat):
                    connection = await self._ask(wish, connection)
                self._wishes.task_done()
        finally:
            if connection is not None:
                await connection.close()

    async def _ask(self, wish: Wish, connection: HttpConnection | None) -> HttpConnection | None:
        """Send one request; gives the connection if it can be used again."""
        target = wish.target.replace("{n}", str(self._chance.randrange(1000)))
        headers = [("Host", wish.host), ("User-Agent", self._chance.choice(_AGENTS)), ("Accept", "*/*")]
        headers += [*wish.headers, *self._credentials(wish.key)]
        if wish.body:
            headers.append(("Content-Type", "application/json"))
        self.seen.sent += 1
        try:
            if connection is not None and not connection.is_open:
                await connection.close()
                connection = None
            if connection is None:
                connection = await HttpConnection.open("127.0.0.1", self._port)
            if wish.leaves_after_s:
                await connection.send(request_bytes(wish.method, target, headers, wish.body))
                await asyncio.sleep(wish.leaves_after_s)
                self.seen.left += 1
                await connection.close()
                return None
            async with asyncio.timeout(_PATIENCE_S):
                answer = await connection.exchange(wish.method, target, headers, wish.body)
        except (OSError, TimeoutError, httptools.HttpParserError):
            self.seen.unanswered += 1
            if connection is not None:
                await connection.close()
            return None
        request_id = answer.header("x-request-id")
        if request_id is not None:
            self.seen.answered[request_id] = answer.status
            self.seen.by_wish[wish.name].append(request_id)
        return connection

    def _credentials(self, key: str) -> list[tuple[str, str]]:
        if not key:
            return []
        if key in {"jwt", "expired_jwt"}:
            expires_s = int(time.time()) + (300 if key == "jwt" else -3600)
            token = make_token(
                {"iss": "billing-batch", "sub": "nightly", "exp": expires_s}, self._secrets["jwt"]
            )
            return [("Authorization", f"Bearer {token}")]
        return [("apikey", self._secrets[key])]
