"""The stand-in edge, not HAProxy: what `deploy/haproxy/haproxy.cfg` makes HAProxy do, as far as logs tell.

For machines without a `haproxy` binary: ids and start time, stripped headers, retries after a bad answer, and
one JSON line for each request over UDP.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import httptools

from pipeline.addresses import split_address
from pipeline.demo.edge_line import EdgeFacts, EdgeLines
from pipeline.demo.edge_rules import EdgeRules
from pipeline.demo.http1 import Answer, Headers, HttpConnection, answer_bytes, first
from pipeline.demo.http_listener import Exchange, Reply, http_listener

_IDEMPOTENT = {"GET", "HEAD", "OPTIONS"}
_RETRIED = {502, 503}
_FOREIGN = {"content-length", "transfer-encoding", "connection"}


class _Asked(NamedTuple):
    """How the gateway was asked."""

    answer: Answer | None
    server: int
    """Index of the last one."""
    retries: int
    source_port: int | None
    connected: bool


class StandInEdge:
    """Forwards requests to gateways and logs them.

    Args:
        rules: Of the configuration.
        lines: Writes the log.
        gateways: Ports of the pool `kong_blue` on loopback; other pools have no server.
        log: Hoptrail's syslog over UDP, `host:port`.
    """

    def __init__(self, rules: EdgeRules, lines: EdgeLines, gateways: Sequence[int], log: str) -> None:
        self._rules = rules
        self._lines = lines
        self._gateways = gateways
        self._turn = 0
        self._log = split_address(log)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._requests = self._logged = 0
        self._chance = random.Random()  # noqa: S311 -- which pool, no secret

    def close(self) -> None:
        """Close the socket of the log."""
        self._udp.close()

    async def handle(self, exchange: Exchange) -> Reply:
        """Forward one request; its line is sent after the last byte."""
        facts = self._facts(exchange)
        pool = facts.pool
        if pool is None:
            return self._own(exchange, facts, 421, "PR--")
        facts.backend = pool
        if pool != "kong_blue":
            return self._own(exchange, facts, 503, "SC--")
        facts.Tw, began = 0, time.perf_counter()
        asked = await self._ask_or_leave(exchange, facts)
        facts.Tr = facts.Td = -1
        if asked is None:
            return self._own(exchange, facts, 400, "CH--")
        facts.retries, facts.redispatched = asked.retries, asked.retries > 0
        facts.server = f"blue{asked.server + 1}"
        facts.server_ip, facts.server_port = "127.0.0.1", self._gateways[asked.server]
        facts.source_ip, facts.source_port = "127.0.0.1", asked.source_port
        facts.Tc = 0 if asked.connected else -1
        if asked.answer is None:
            return self._own(
                exchange, facts, 502 if asked.connected else 503, "SH--" if asked.connected else "SC--"
            )
        facts.Tr, facts.Td = round((time.perf_counter() - began) * 1000), 0
        facts.gateway_request_id = asked.answer.header("x-kong-request-id")
        facts.gateway_proxy_ms = _whole(asked.answer.header("x-kong-proxy-latency"))
        facts.gateway_upstream_ms = _whole(asked.answer.header("x-kong-upstream-latency"))
        return self._reply(exchange, facts, asked.answer.status, asked.answer.headers, asked.answer.body)

    def _facts(self, exchange: Exchange) -> EdgeFacts:
        request, now_us = exchange.request, time.time_ns() // 1000
        path, _, query = request.target.partition("?")
        facts = EdgeFacts(
            request_id=str(uuid.uuid4()),
            traceparent=f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[16:]}-01",
            pid=os.getpid(),
            request_counter=self._requests,
            log_counter=0,
            node=self._lines.node,
            accepted_us=request.started_us,
            headers_us=now_us,
            end_us=0,
            client_ip=exchange.client[0],
            client_port=exchange.client[1],
            bind_port=exchange.server[1],
            pool=self._rules.pool(request.header("host")),
            method=request.method,
            host=request.header("host"),
            path=path,
            query=query,
            user_agent=request.header("user-agent"),
            bytes_read=request.size,
            claimed_request_id=(request.header("x-request-id") or "")[:64] or None,
            claimed_traceparent=(request.header("traceparent") or "")[:64] or None,
        )
        self._requests += 1
        if facts.pool is not None:
            facts.roll = self._chance.randrange(100)
        return facts

    async def _ask_or_leave(self, exchange: Exchange, facts: EdgeFacts) -> _Asked | None:
        """Ask the gateway unless the client goes first (`option abortonclose`): then None."""
        async with asyncio.TaskGroup() as race:
            asking = race.create_task(self._ask(exchange, facts))
            leaving = race.create_task(exchange.left.wait())
            await asyncio.wait({asking, leaving}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            asking.cancel()
        if not asking.cancelled():
            return asking.result()
        facts.server, facts.Tc = f"blue{self._turn % len(self._gateways) + 1}", 0
        facts.server_ip, facts.server_port = "127.0.0.1", self._gateways[self._turn % len(self._gateways)]
        return None

    async def _ask(self, exchange: Exchange, facts: EdgeFacts) -> _Asked:
        request = exchange.request
        headers = self._rules.forwarded(
            request.headers,
            request_id=facts.request_id,
            request_us=facts.headers_us,
            traceparent=facts.traceparent,
            client_ip=facts.client_ip,
            port=facts.bind_port,
        )
        headers = [(name, value) for name, value in headers if name not in _FOREIGN]
        may_retry = request.method in _IDEMPOTENT
        asked = _Asked(None, 0, 0, None, connected=False)
        for retries in range(1 + self._rules.retries):
            self._turn += 1
            server = self._turn % len(self._gateways)
            asked = await self._ask_once(exchange, headers, server, retries)
            answered = asked.answer is not None and asked.answer.status not in _RETRIED
            if answered or (asked.connected and not may_retry):
                break
        return asked

    async def _ask_once(self, exchange: Exchange, headers: Headers, server: int, retries: int) -> _Asked:
        request = exchange.request
        try:
            connection = await HttpConnection.open("127.0.0.1", self._gateways[server])
        except OSError:
            return _Asked(None, server, retries, None, connected=False)
        answer = None
        try:
            answer = await connection.exchange(request.method, request.target, headers, request.body)
        except (OSError, httptools.HttpParserError):
            pass  # an empty or a broken answer
        finally:
            await connection.close()
        return _Asked(answer, server, retries, connection.local_port, connected=True)

    def _own(self, exchange: Exchange, facts: EdgeFacts, status: int, termination: str) -> Reply:
        """Answer in place of the gateway."""
        facts.termination = termination
        body = f"<html><body><h1>{status}</h1>the stand-in edge, not HAProxy</body></html>\n".encode()
        headers = [("content-length", str(len(body))), ("content-type", "text/html")]
        return self._reply(exchange, facts, status, headers, body)

    def _reply(
        self, exchange: Exchange, facts: EdgeFacts, status: int, headers: Headers, body: bytes
    ) -> Reply:
        facts.status = status
        kept = [(name, value) for name, value in headers if name not in {"connection", "x-request-id"}]
        if first(kept, "content-length") is None:
            kept.append(("content-length", str(len(body))))
        kept.append(("x-request-id", facts.request_id))
        facts.bytes_sent = len(answer_bytes(status, kept, body, is_head=exchange.request.method == "HEAD"))
        return Reply(status, kept, body, lambda _: self._write(facts))

    def _write(self, facts: EdgeFacts) -> None:
        facts.end_us = time.time_ns() // 1000
        facts.Ta = round((facts.end_us - facts.accepted_us) / 1000)
        facts.log_counter = self._logged
        self._logged += 1
        self._udp.sendto(self._lines.frame(facts) + b"\n", self._log)


def _whole(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() else None


@asynccontextmanager
async def stand_in_edge(
    rules: EdgeRules, lines: EdgeLines, gateways: Sequence[int], log: str
) -> AsyncIterator[int]:
    """Run a stand-in edge; gives its port."""
    edge = StandInEdge(rules, lines, gateways, log)
    try:
        async with http_listener(edge.handle) as (_, port):
            yield port
    finally:
        edge.close()
