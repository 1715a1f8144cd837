"""Kong's http-log plugin posts to `/ingest/kong`: one object, an array, or objects one behind another.

Kong takes any status below 300 as taken and forgets the batch; at any other it sends the identical bytes
again for a minute and then throws them away. So: 200 once the bus has the entries on disk, even where some
are poison (they become dead letters), 503 only where nothing could be kept. What is refused otherwise (a
wrong secret, a body too large) never entered: it is counted as refused, not in the account.

Back pressure: a body is read as fast as it is handled; a full bus is told by 503 with Retry-After.

Delivery: an answer lost on its way brings the same batch again; the store knows its records again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.clock import Clock
from pipeline.config import KongConfig
from pipeline.contracts import Inlet
from pipeline.errors import BusFull, MalformedLine
from pipeline.formats.kong_split import split_body
from pipeline.model import Delivery, Source
from pipeline.sources.posted import Body, Gone, Head, Refused
from pipeline.sources.shared_secret import load_secret
from pipeline.sources.stats import SourceStats

_PATHS = ("/ingest/kong", "/ingest/kong/")
_METHODS = ("POST", "PUT", "PATCH")
_BODY_S = 30.0
"""How long a body may take to come; Kong itself gives up after 10 s."""
_REFUSED_BODY_S = 5.0
_LARGE_BYTES = 2**20
_LARGE_AT_ONCE = 4
"""Bodies above a mebibyte, or of unknown size, that are held at once; others wait unread, to bound memory."""


class IngestApp:
    """The ASGI application of the listener that Kong posts to.

    Args:
        fallback: Answers everything but `/ingest/kong`: health, metrics.

    Raises:
        ConfigError: `secret_file` cannot be read, or holds no secret.
    """

    def __init__(
        self, config: KongConfig, bus: Inlet, clock: Clock, stats: SourceStats, fallback: ASGIApp
    ) -> None:
        self._secret = load_secret(config.secret_file) if config.secret_file else None
        self._most_bytes = config.max_body_bytes
        self._bus = bus
        self._clock = clock
        self._stats = stats.listener("http_log", Source.KONG)
        self._fallback = fallback
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] not in _PATHS:
            await self._fallback(scope, receive, send)
            return
        head, body = Head(scope), Body(receive)
        try:
            self._check(head)
            if head.length is not None and head.length <= _LARGE_BYTES:
                await self._take(head, body)
            else:
                async with self._large:
                    await self._take(head, body)
        except Gone:
            self._stats.refused["client_left"] += 1
        except Refused as refused:
            self._stats.refused[refused.reason] += 1
            await self._refuse(refused, head, body, send)
        else:
            # Without a body, head and answer leave in one system call: one wait for the interpreter less.
            await _answer(send, 200, b"")

    def _check(self, head: Head) -> None:
        """Look at the head alone.

        Raises:
            Refused: The body need not be read.
        """
        if head.method not in _METHODS:
            allowed = ", ".join(_METHODS)
            raise Refused(405, "method", f"use one of {allowed}", (b"allow", allowed.encode()))
        if head.is_from_browser:
            raise Refused(403, "from_browser", "not for browsers")
        if self._secret is not None and not self._secret.admits(head.secret, head.authorization):
            challenge = (b"www-authenticate", b'Basic realm="hoptrail"')
            raise Refused(401, "unauthorized", "unauthorized", challenge)
        if head.encoding != b"identity":
            raise Refused(415, "encoding", "send the body as it is, without Content-Encoding")
        if head.length is not None and head.length > self._most_bytes:
            raise Refused(413, "too_large", f"larger than {self._most_bytes} bytes")

    async def _take(self, head: Head, body: Body) -> None:
        """Read a post and keep its entries; on return they are on disk.

        A body that cannot be split is one record, as it came; an empty one is none.

        Raises:
            Gone: The client left; nothing is kept.
            Refused: It is too large or too slow, or the bus is full; nothing is kept.
        """
        raw = await body.next()
        if not body.has_ended or len(raw) > self._most_bytes:
            raw = await self._read_on(body, raw)
        try:
            # Splitting a large broken body takes seconds; other posts do not wait for it.
            entries = (
                split_body(raw) if len(raw) <= _LARGE_BYTES else await asyncio.to_thread(split_body, raw)
            )
        except MalformedLine:
            entries = [raw]
        if not entries:
            return
        delivery = Delivery(Source.KONG, entries, self._clock.now_ns(), head.peer)
        try:
            await self._bus.append(delivery)
        except BusFull:
            raise Refused(503, "bus_full", "full; try again", (b"retry-after", b"1")) from None
        self._stats.took(len(entries), delivery.arrival_ns)

    async def _read_on(self, body: Body, first: bytes) -> bytes:
        try:
            async with asyncio.timeout(_BODY_S):
                return await body.whole(first, self._most_bytes)
        except TimeoutError:
            raise Refused(408, "too_slow", f"the body took longer than {_BODY_S:g} s") from None

    async def _refuse(self, refused: Refused, head: Head, body: Body, send: Send) -> None:
        """Answer, after reading past the rest of the body where that is not much."""
        headers = refused.headers
        if not head.waits_for_continue:
            with suppress(TimeoutError, Gone):
                async with asyncio.timeout(_REFUSED_BODY_S):
                    await body.pass_over(self._most_bytes)
        if not body.has_ended:
            headers += ((b"connection", b"close"),)
        await _answer(send, refused.status, refused.text.encode() + b"\n", *headers)


async def _answer(send: Send, status: int, text: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(text)).encode())
    if text:
        headers += ((b"content-type", b"text/plain; charset=utf-8"),)
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": text})
