"""Small real upstream servers that do what a request asks of them, so that a demo can ask for trouble.

| argument | the server |
|---|---|
| `wait_ms=300` | answers after that time |
| `status=500` | answers with that status |
| `busy=2` | answers 503 to the first two requests that carry the same `X-Request-ID` |
| `drop=1` | closes without an answer |
| `size=2000` | answers with about so many bytes |
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from pipeline.demo.http_listener import Exchange, Reply, http_listener
from pipeline.demo.kong_entry import querystring

_LONGEST_WAIT_MS, _LARGEST = 30_000, 1_000_000
_REMEMBERED = 10_000
_UNAVAILABLE = 503


class Upstream:
    """One server.

    Args:
        name: What it calls itself in its answers.
        usual_ms: About how long it takes for anything.
    """

    def __init__(self, name: str, usual_ms: float = 0.0) -> None:
        self._name = name
        self._usual_ms = usual_ms
        self._chance = random.Random(name)  # noqa: S311 -- how long, no secret
        self._seen: OrderedDict[str, int] = OrderedDict()

    async def handle(self, exchange: Exchange) -> Reply | None:
        """Answer as asked."""
        request = exchange.request
        path, _, query = request.target.partition("?")
        asked = {key: value for key, value in querystring(query).items() if isinstance(value, str)}
        usual_ms = self._usual_ms * self._chance.lognormvariate(0, 0.4)
        await asyncio.sleep(min(_number(asked, "wait_ms") + usual_ms, _LONGEST_WAIT_MS) / 1000)
        if _number(asked, "drop"):
            return None
        status = _number(asked, "status") or 200
        if self._times_seen(request.header("x-request-id") or "") < _number(asked, "busy"):
            status = _UNAVAILABLE
        tree = {"service": self._name, "path": path, "status": status}
        if size := min(_number(asked, "size"), _LARGEST):
            tree["filler"] = "." * size
        body = json.dumps(tree).encode()
        return Reply(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], body)

    def _times_seen(self, request_id: str) -> int:
        seen = self._seen.pop(request_id, 0)
        self._seen[request_id] = seen + 1
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return seen


def _number(asked: dict[str, str], name: str) -> int:
    value = asked.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else 0  # noqa: PLR2004


@contextmanager
def refusing_port() -> Iterator[int]:
    """Hold a port at which every connection is refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@asynccontextmanager
async def open_upstreams() -> AsyncIterator[dict[str, tuple[str, int]]]:
    """Start what `deploy/kong/kong.yml` names: gives the real address of each `host:port` there.

    The third target of `orders` refuses every connection.
    """
    async with AsyncExitStack() as stack:
        places = {}
        for name, declared, usual_ms in (
            ("catalog", "catalog.internal:8080", 9),
            ("feed", "feed.internal:8080", 14),
            ("payments", "payments.internal:8080", 40),
            ("reports", "reports.internal:8080", 60),
            ("orders-1", "10.20.0.11:8080", 12),
            ("orders-2", "10.20.0.12:8080", 18),
        ):
            server = Upstream(name, usual_ms)
            places[declared] = await stack.enter_async_context(http_listener(server.handle))
        places["10.20.0.13:8080"] = ("127.0.0.1", stack.enter_context(refusing_port()))
        yield places
