"""A small HTTP/1.1 server that knows when its client has gone, and when the last byte was handed over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import httptools

from pipeline.demo.http1 import Headers, Request, answer_bytes, read_request


class Exchange(NamedTuple):
    """A request and where it came from."""

    request: Request
    client: tuple[str, int]
    server: tuple[str, int]
    left: asyncio.Event
    """Set when the client closes before it has an answer."""


class Reply(NamedTuple):
    """What to answer, and whom to tell that it was sent."""

    status: int
    headers: Headers
    body: bytes
    on_sent: Callable[[int], None] | None = None
    """Called once with the bytes sent, after the last one."""


Handler = Callable[[Exchange], Awaitable[Reply | None]]
"""Answers a request; None closes the connection without an answer."""


@asynccontextmanager
async def http_listener(
    handle: Handler, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[str, int]]:
    """Serve until the block is left; gives the address in force."""
    async with asyncio.TaskGroup() as connections:
        tasks: set[asyncio.Task[None]] = set()

        def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = connections.create_task(_serve_client(reader, writer, handle))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: writer.close())  # also where it was cancelled before it began

        server = await asyncio.start_server(on_client, host, port, backlog=512)
        try:
            name = server.sockets[0].getsockname()
            yield name[0], name[1]
        finally:
            server.close()
            for task in tuple(tasks):
                task.cancel()


async def _serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handle: Handler) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client, server = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
    try:
        ahead = b""
        while (request := await read_request(reader, ahead)) is not None:
            exchange = Exchange(request, client[:2], server[:2], asyncio.Event())
            reply, ahead = await _answer(reader, exchange, handle)
            if reply is None:
                break
            data = answer_bytes(reply.status, reply.headers, reply.body, is_head=request.method == "HEAD")
            if not exchange.left.is_set():
                writer.write(data)
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
            if reply.on_sent is not None:
                reply.on_sent(len(data))
            if exchange.left.is_set() or not request.keep_alive:
                break
    except (ConnectionError, httptools.HttpParserError):
        pass  # such a peer gets no answer


async def _answer(
    reader: asyncio.StreamReader, exchange: Exchange, handle: Handler
) -> tuple[Reply | None, bytes]:
    """Handle a request while watching the client; gives also what the client sent meanwhile."""
    async with asyncio.TaskGroup() as pair:
        watch = pair.create_task(_watch(reader, exchange.left))
        reply = await handle(exchange)
        watch.cancel()
    return reply, b"" if watch.cancelled() else watch.result()


async def _watch(reader: asyncio.StreamReader, left: asyncio.Event) -> bytes:
    """Wait for the client's end or its next bytes."""
    try:
        data = await reader.read(65_536)
    except ConnectionError:
        data = b""
    if not data:
        left.set()
    return data
