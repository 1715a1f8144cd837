"""A TCP proxy that can be told to be away, to be slow, or to cut connections in the middle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

_CHUNK = 16_384


class CuttingProxy:
    """Stands between a client and a server.

    Attributes:
        is_away: Connections are closed as soon as they are made, and those that there are at once.
        answering: Answers are held back while it is not set.
        cut_requests: Of so many further requests nothing passes behind their first `cut_after` bytes.
        cut_answers: So many further long requests are passed on, and their answers are not.
        cut: How many connections were cut.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._connections: set[asyncio.StreamWriter] = set()
        self._is_long = False
        self.address = ""
        self.is_away = False
        self.answering = asyncio.Event()
        self.answering.set()
        self.cut_requests = self.cut_answers = self.cut = 0
        self.cut_after = 2 * _CHUNK

    def go_away(self) -> None:
        """Close everything, and let nobody in."""
        self.is_away = True
        for writer in list(self._connections):
            writer.transport.abort()

    def come_back(self) -> None:
        """Let everybody in again."""
        self.is_away = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_away:
            self.cut += 1
            writer.transport.abort()
            return
        self._connections.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._target)
            self._connections.add(up_writer)
            passing = [
                asyncio.create_task(self._requests(reader, up_writer, writer)),
                asyncio.create_task(self._answers(up_reader, writer)),
            ]
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
            for task in passing:
                task.cancel()
            await asyncio.wait(passing)
            up_writer.transport.abort()
        except OSError:
            pass
        finally:
            self._connections.discard(writer)
            writer.transport.abort()

    async def _requests(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        passed = 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                is_new = data.startswith((b"POST ", b"GET "))
                passed = len(data) if is_new else passed + len(data)
                if passed > self.cut_after and self.cut_requests:
                    self.cut_requests -= 1
                    self.cut += 1
                    to.transport.abort()
                    client.transport.abort()
                    return
                to.write(data)
                await to.drain()
                self._is_long = passed > self.cut_after

    async def _answers(self, reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                if self._is_long and self.cut_answers:
                    self.cut_answers -= 1
                    self.cut += 1
                    to.transport.abort()
                    return
                await self.answering.wait()
                to.write(data)
                await to.drain()


@contextlib.asynccontextmanager
async def cutting_proxy(target: str) -> AsyncIterator[CuttingProxy]:
    """Run a proxy to `host:port` on a port of its own."""
    proxy = CuttingProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    proxy.address = f"{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.go_away()
