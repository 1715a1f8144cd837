"""The gateway's balancer: which targets are tried, how often, and what of it the log tells."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import httptools

from pipeline.demo.declared import Declared, Service
from pipeline.demo.http1 import Answer, Headers, HttpConnection, Request, first
from pipeline.demo.kong_entry import Served, Try
from pipeline.demo.plugins import kong_message

_NOT_IDEMPOTENT = {"POST", "PATCH", "LOCK"}
"""nginx tries these once only, if the target has begun to read them (`proxy_next_upstream`)."""
_BAD_ANSWER, _TIMED_OUT = 502, 504
_MESSAGES = {
    _BAD_ANSWER: "An invalid response was received from the upstream server",
    _TIMED_OUT: "The upstream server is timing out",
}


class _Failed(NamedTuple):
    """A try without an answer."""

    code: int
    may_go_on: bool
    """Whether another target may be tried, whatever the method."""


class Balancer:
    """Tries targets in turn.

    Args:
        declared: Gives services and upstreams.
        places: Where a declared `host:port` really is.
    """

    def __init__(self, declared: Declared, places: Mapping[str, tuple[str, int]]) -> None:
        self._upstreams = declared.upstreams
        self._places = places
        self._turn: Counter[str] = Counter()

    async def proxy(self, served: Served, request: Request) -> tuple[int, Headers, bytes]:
        """Send a request on until a target answers; fills what the entry tells of it.

        Returns:
            Status, headers and body for the client: the upstream's, or Kong's own 502 or 504.
        """
        assert served.route is not None  # noqa: S101 -- only routed requests are proxied
        service = served.route.service
        code = _BAD_ANSWER
        for _ in range(1 + service.retries):
            made = self._next_try(service)
            served.tries.append(made)
            served.kong_ms = max(0, (made.start_us - served.started_us) // 1000)
            began = time.perf_counter()
            outcome = await self._ask(made, service, served, request)
            served.proxy_ms = round((time.perf_counter() - began) * 1000)
            if isinstance(outcome, Answer):
                served.proxy_ms = round(outcome.waited_s * 1000)
                served.receive_ms = round(outcome.received_s * 1000)
                served.source = "upstream"
                served.upstream_status.append(str(outcome.status))
                return outcome.status, outcome.headers, outcome.body
            code = outcome.code
            served.upstream_status.append(str(code))
            if not outcome.may_go_on and request.method in _NOT_IDEMPOTENT:
                break
            made.state, made.code = "failed", code
        body = kong_message(_MESSAGES[code], served.gateway_id)
        headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("content-length", str(len(body))),
        ]
        return code, headers, body

    def _next_try(self, service: Service) -> Try:
        begun_ns = time.perf_counter_ns()
        targets = self._upstreams.get(service.host, (f"{service.host}:{service.port}",))
        target = targets[self._turn[service.host] % len(targets)]
        self._turn[service.host] += 1
        ip, port = self._places[target]
        return Try(ip, port, time.time_ns() // 1000, time.perf_counter_ns() - begun_ns)

    async def _ask(self, made: Try, service: Service, served: Served, request: Request) -> Answer | _Failed:
        try:
            async with asyncio.timeout(service.connect_s):
                connection = await HttpConnection.open(made.ip, made.port)
        except TimeoutError:
            return _Failed(_TIMED_OUT, may_go_on=True)
        except OSError:
            return _Failed(_BAD_ANSWER, may_go_on=True)
        try:
            async with asyncio.timeout(service.read_s):
                headers = _forwarded(served, made)
                return await connection.exchange(request.method, served.upstream_uri, headers, request.body)
        except TimeoutError:
            return _Failed(_TIMED_OUT, may_go_on=False)
        except (OSError, httptools.HttpParserError):
            return _Failed(_BAD_ANSWER, may_go_on=False)
        finally:
            await connection.close()


def _forwarded(served: Served, made: Try) -> Headers:
    """Give the headers that the upstream sees: its own name as host, hop-by-hop ones of this hop."""
    dropped = {"host", "connection", "content-length", "transfer-encoding", "x-kong-request-id"}
    return [
        ("host", f"{made.ip}:{made.port}"),
        ("connection", "close"),
        *((name, value) for name, value in served.headers if name not in dropped),
        ("x-forwarded-path", served.uri.partition("?")[0]),
        ("x-kong-request-id", served.gateway_id),
        *((("via", "1.1 stand-in"),) if first(served.headers, "via") is None else ()),
    ]
