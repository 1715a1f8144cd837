"""The stand-in gateway, not Kong: routes, checks, balances, answers and logs as Kong 3.9 does.

It reads `deploy/kong/kong.yml` itself, so that the demo and the tests speak of the same services, consumers
and limits as the file that is handed out. What it does not do: health checks of upstreams (a refused target
is tried again each time), TLS, HTTP/2, bodies as streams, or any plugin that the file does not name.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from pipeline.demo.balancer import Balancer
from pipeline.demo.declared import Declared, Route
from pipeline.demo.http1 import Request, first
from pipeline.demo.http_listener import Exchange, Reply, http_listener
from pipeline.demo.kong_entry import Served, entry_bytes
from pipeline.demo.log_queue import LogQueue
from pipeline.demo.plugins import Passage, Plugins, Refusal, refusal

SERVER = "stand-in gateway, not Kong"
_VIA = "1.1 stand-in"
_CLIENT_LEFT = 499
_HOP_BY_HOP = {"connection", "keep-alive", "te", "transfer-encoding", "upgrade"}

Fate = Callable[[Served], float | None]
"""When an entry is sent: 0 at once, a number of seconds later, or never (None). Kong knows only 0."""


def sent_at_once(_: Served) -> float | None:
    """Send every entry at once."""
    return 0.0


class Gateway:
    """Serves requests of the edge.

    Args:
        declared: What `kong.yml` says.
        places: Where its hosts and targets (`host:port`) really are.
        log: Takes the entries.
        fate: Lets the demo lose an entry, or send it late.
        chance: Makes ids and orders keys.
    """

    def __init__(
        self,
        declared: Declared,
        places: Mapping[str, tuple[str, int]],
        log: LogQueue,
        *,
        fate: Fate = sent_at_once,
        chance: random.Random | None = None,
    ) -> None:
        self._declared = declared
        self._plugins = Plugins(declared)
        self._balancer = Balancer(declared, places)
        self._log = log
        self._fate = fate
        self._chance = chance or random.Random()  # noqa: S311 -- ids of a demo, no secrets
        self.begun = 0
        """Requests whose handling began."""

    async def handle(self, exchange: Exchange) -> Reply:
        """Serve one request; its entry is logged after the last byte."""
        request = exchange.request
        self.begun += 1
        served = Served(
            gateway_id=f"{self._chance.getrandbits(128):032x}",
            started_us=request.started_us,
            method=request.method,
            uri=request.target,
            headers=list(request.headers),
            request_size=request.size,
            client_ip=first(request.headers, "x-forwarded-for") or exchange.client[0],
            port=exchange.server[1],
        )
        reply = await self._reply(served, request, exchange.left)
        return reply._replace(on_sent=lambda size: self._finish(served, reply, size))

    async def _reply(self, served: Served, request: Request, left: asyncio.Event) -> Reply:
        path = request.target.partition("?")[0]
        route = self._declared.match(request.method, path)
        if route is None:
            message = "no Route matched with those values"
            return self._refused(served, refusal(404, message, served.gateway_id), [], request)
        served.route, served.source = route, "kong"
        served.upstream_uri = upstream_uri(route, request.target)
        if self._declared.correlation_header is not None:
            served.correlation_id = first(served.headers, self._declared.correlation_header)
        passage = Passage(served.gateway_id, list(served.headers), time.time_ns() // 1000)
        refused = self._plugins.run(passage, route.plugins)
        served.headers, served.credential = passage.headers, passage.credential
        if refused is not None:
            return self._refused(served, refused, passage.answer_headers, request)
        return await self._proxied(served, request, passage, left)

    def _refused(
        self, served: Served, refused: Refusal, extra: list[tuple[str, str]], request: Request
    ) -> Reply:
        served.kong_ms = _ms_since(served.started_us)
        headers = [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Connection", "keep-alive" if request.keep_alive else "close"),
            *refused.headers,
            *extra,
            ("Content-Length", str(len(refused.body))),
            ("X-Kong-Response-Latency", str(served.kong_ms)),
            ("Server", SERVER),
            ("X-Kong-Request-Id", served.gateway_id),
        ]
        return Reply(refused.status, headers, refused.body)

    async def _proxied(
        self, served: Served, request: Request, passage: Passage, left: asyncio.Event
    ) -> Reply:
        """Send on; a client that leaves meanwhile is logged as 499, as nginx does."""
        async with asyncio.TaskGroup() as race:
            proxying = race.create_task(self._balancer.proxy(served, request))
            leaving = race.create_task(left.wait())
            await asyncio.wait({proxying, leaving}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            proxying.cancel()
        connection = ("Connection", "keep-alive" if request.keep_alive else "close")
        if proxying.cancelled():
            served.upstream_status.append("-")
            served.source = "upstream"
            served.proxy_ms = _ms_since(served.tries[-1].start_us) if served.tries else -1
            return Reply(_CLIENT_LEFT, [connection], b"")
        status, upstream_headers, body = proxying.result()
        headers = [
            *((name, value) for name, value in upstream_headers if name not in _HOP_BY_HOP),
            connection,
            *passage.answer_headers,
            ("Via", _VIA),
            ("Server", SERVER),
            ("X-Kong-Upstream-Latency", str(served.proxy_ms)),
            ("X-Kong-Proxy-Latency", str(served.kong_ms)),
            ("X-Kong-Request-Id", served.gateway_id),
        ]
        return Reply(status, headers, body)

    def _finish(self, served: Served, reply: Reply, size: int) -> None:
        served.status, served.answer_headers = reply.status, reply.headers
        served.answer_size = 0 if reply.status == _CLIENT_LEFT else size
        served.request_ms = _ms_since(served.started_us)
        delay_s = self._fate(served)
        if delay_s is None:
            return
        entry = entry_bytes(served, self._declared, self._chance)
        if delay_s > 0:
            self._log.put_later(entry, delay_s)
        else:
            self._log.put(entry)


def upstream_uri(route: Route, target: str) -> str:
    """Give the path and query that the upstream sees."""
    path, mark, query = target.partition("?")
    if route.strip_path:
        prefix = max((prefix for prefix in route.paths if path.startswith(prefix)), key=len)
        path = "/" + path.removeprefix(prefix).lstrip("/")
    return path + mark + query


def _ms_since(start_us: int) -> int:
    return max(0, (time.time_ns() // 1000 - start_us) // 1000)


async def _ready(exchange: Exchange) -> Reply:
    """Answer the edge's health checks, as Kong's status listener does."""
    found = exchange.request.target == "/status/ready"
    body = b'{"message":"ready"}' if found else b'{"message":"Not found"}'
    headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Server", SERVER),
    ]
    return Reply(200 if found else 404, headers, body)


@asynccontextmanager
async def gateway_listeners(gateway: Gateway, count: int) -> AsyncIterator[tuple[list[int], int]]:
    """Listen on loopback at free ports; gives the proxy's ports and that of `/status/ready`."""
    async with http_listener(_ready) as (_, status_port):
        if count == 1:
            async with http_listener(gateway.handle) as (_, port):
                yield [port], status_port
        else:
            async with http_listener(gateway.handle) as (_, one), http_listener(gateway.handle) as (_, two):
                yield [one, two], status_port
