"""HTTP/1.1 as the stand-ins need it: messages with the times and sizes that a log tells of.

Not a general library: every answer carries a length, requests are not pipelined, nothing is streamed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple, Self

import httptools

Headers = Sequence[tuple[str, str]]
"""Name and value in the order of the wire; names in lower case once read. Bytes that are not UTF-8 stand as
lone surrogates, so that they can be written again unchanged."""

_CHUNK = 65_536
_REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Not Allowed", 421: "Misdirected Request", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


class Request(NamedTuple):
    """A request as read."""

    method: str
    target: str
    headers: Headers
    body: bytes
    size: int
    """Bytes read, of line, headers and body."""
    started_us: int
    """When its first byte was read, UTC epoch microseconds."""
    keep_alive: bool

    def header(self, name: str) -> str | None:
        """Give the first value of a header, by its lower-case name."""
        return first(self.headers, name)


class Answer(NamedTuple):
    """An answer as read, with where the time went."""

    status: int
    headers: Headers
    body: bytes
    waited_s: float
    """From the request's last byte to the end of the answer's headers."""
    received_s: float
    """From there to the last byte."""

    def header(self, name: str) -> str | None:
        """Give the first value of a header, by its lower-case name."""
        return first(self.headers, name)


def first(headers: Headers, name: str) -> str | None:
    """Give the first value of a header, by its lower-case name."""
    return next((value for key, value in headers if key == name), None)


class _Message:
    """What httptools says while it reads."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.size = 0
        self.headers_at = 0.0
        self.is_whole = False
        self.keep_alive = False
        self.parser: httptools.HttpRequestParser | httptools.HttpResponseParser | None = None

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((text(name).lower(), text(value)))

    def on_headers_complete(self) -> None:
        self.headers_at = time.perf_counter()
        if self.parser is not None:  # after the message an answer's parser has forgotten it
            self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_whole = True


def text(raw: bytes) -> str:
    """Read bytes so that `raw_bytes` gives them back."""
    return raw.decode("utf-8", "surrogateescape")


def raw_bytes(value: str) -> bytes:
    """Write text as the bytes it was read from."""
    return value.encode("utf-8", "surrogateescape")


async def read_request(reader: asyncio.StreamReader, first_bytes: bytes = b"") -> Request | None:
    """Read one request; None where the peer ended instead.

    Raises:
        httptools.HttpParserError: It is not one.
        ConnectionError: The peer broke off.
    """
    message = _Message()
    message.parser = parser = httptools.HttpRequestParser(message)
    data = first_bytes or await reader.read(_CHUNK)
    started_us = time.time_ns() // 1000
    while data:
        message.size += len(data)
        parser.feed_data(data)
        if message.is_whole:
            return Request(
                text(parser.get_method()),
                text(message.url),
                message.headers,
                bytes(message.body),
                message.size,
                started_us,
                message.keep_alive,
            )
        data = await reader.read(_CHUNK)
    return None


def request_bytes(method: str, target: str, headers: Headers, body: bytes = b"") -> bytes:
    """Write a request; a length is added where there is a body."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    return raw_bytes("\r\n".join(lines) + "\r\n\r\n") + body


def answer_bytes(status: int, headers: Headers, body: bytes, *, is_head: bool = False) -> bytes:
    """Write an answer; its headers must carry the length."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Other')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return raw_bytes("\r\n".join(lines) + "\r\n\r\n") + (b"" if is_head else body)


class HttpConnection:
    """A connection to a server, used for one request after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._may_go_on = True
        self.local_port: int = writer.get_extra_info("sockname")[1]

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Connect.

        Raises:
            OSError: Nobody answers there.
        """
        return cls(*await asyncio.open_connection(host, port))

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent; False as soon as the server's end has been read."""
        return self._may_go_on and not self._reader.at_eof()

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def exchange(self, method: str, target: str, headers: Headers, body: bytes = b"") -> Answer:
        """Send a request and read its answer.

        Raises:
            ConnectionError: The server closed before the answer was whole.
            httptools.HttpParserError: The answer is not HTTP.
        """
        await self.send(request_bytes(method, target, headers, body))
        return await self.answer(is_head=method == "HEAD")

    async def answer(self, *, is_head: bool = False) -> Answer:
        """Read an answer; raises as `exchange`."""
        message, sent_at = _Message(), time.perf_counter()
        message.parser = parser = httptools.HttpResponseParser(message)
        while not message.is_whole:
            data = await self._reader.read(_CHUNK)
            if not data:
                self._may_go_on = False
                raise ConnectionResetError("closed before an answer")
            parser.feed_data(data)
            if is_head and message.headers_at:
                break
        self._may_go_on = message.is_whole and message.keep_alive
        return Answer(
            parser.get_status_code(),
            message.headers,
            bytes(message.body),
            waited_s=message.headers_at - sent_at,
            received_s=time.perf_counter() - message.headers_at,
        )

    async def close(self) -> None:
        """Close; what is under way is broken off."""
        self._may_go_on = False
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
