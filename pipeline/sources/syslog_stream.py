"""HAProxy's lines over TCP (`ring` with a `server`, `log tcp@…`, rsyslog): newline-ended or octet-counted.

Back pressure: one chunk of a connection is on its way to the bus at a time, and the stream's reader stops
reading from the kernel once another is waiting; so a slow disk, or a full bus, is told to the sender by TCP.
HAProxy's ring then drops its newest lines and says so in the line "N events dropped".

Delivery: syslog over TCP has no acknowledgements; a line that the kernel took is lost with a kill.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pipeline.clock import Clock
from pipeline.config import SyslogConfig
from pipeline.contracts import Inlet
from pipeline.errors import BusFull
from pipeline.formats.framing import StreamFramer
from pipeline.listening import address_of, bound_socket
from pipeline.model import Delivery, Source
from pipeline.sources.peers import AllowList
from pipeline.sources.stats import ListenerStats, SourceStats
from pipeline.sources.syslog_udp import Listening

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 256 * 1024
_MOST_CONNECTIONS = 256
_FULL_WAIT_S = 0.1
"""How long a connection rests before it asks a full bus again."""
_GRACE_S = 0.5
"""How long connections may take to hand on what the kernel holds, when the listener ends."""


@asynccontextmanager
async def listen_tcp(
    config: SyslogConfig, bus: Inlet, clock: Clock, stats: SourceStats
) -> AsyncIterator[Listening]:
    """Take connections on `config.tcp` for as long as the block runs.

    On leaving no more are taken, and those that are open hand on what has come, for half a second at most.

    Raises:
        ConfigError: The address cannot be bound.
    """
    bound = bound_socket(config.tcp, socket.SOCK_STREAM, "sources.syslog.tcp")
    listener = StreamListener(
        address_of(bound), AllowList(config.allow), bus=bus, clock=clock,
        stats=stats.listener("syslog_tcp", Source.HAPROXY),
    )  # fmt: skip
    server = await asyncio.start_server(listener.welcome, sock=bound, limit=_CHUNK_BYTES)
    try:
        yield listener
    finally:
        server.close()
        await listener.finish()


class StreamListener:
    """The connections of one TCP listener."""

    def __init__(
        self, address: str, peers: AllowList, *, bus: Inlet, clock: Clock, stats: ListenerStats
    ) -> None:
        self.address = address
        self._peers = peers
        self._bus = bus
        self._clock = clock
        self._stats = stats
        self._ending = asyncio.Event()
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection, or turn it away."""
        address = writer.get_extra_info("peername")
        peer = self._peers.admit(address[0]) if address else None
        if peer is None:
            self._turn_away(writer, "not_allowed")
        elif len(self._serving) >= _MOST_CONNECTIONS:
            self._turn_away(writer, "too_many_connections")
        elif self._ending.is_set():
            self._turn_away(writer, "ending")
        else:
            task = asyncio.create_task(self._serve(reader, writer, peer))
            self._serving[task] = writer
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._serving[task]
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("%s: a connection failed", self._stats.name, exc_info=fault)

    def _turn_away(self, writer: asyncio.StreamWriter, reason: str) -> None:
        self._stats.refused[reason] += 1
        writer.transport.abort()

    async def finish(self) -> None:
        """Let connections hand on what the kernel holds, then end them."""
        self._ending.set()
        for writer in self._serving.values():
            with suppress(OSError):
                # What has come is still read, then the stream ends as if the sender had closed it.
                writer.get_extra_info("socket").shutdown(socket.SHUT_RD)
        if self._serving:
            _, slow = await asyncio.wait(self._serving, timeout=_GRACE_S)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        framer = StreamFramer()
        try:
            while chunk := await self._read(reader, peer):
                await self._keep(framer.feed(chunk), peer)
        finally:
            writer.transport.abort()
            await self._keep(framer.close(), peer)

    async def _read(self, reader: asyncio.StreamReader, peer: str) -> bytes:
        """Give what comes next; empty when the connection has ended, however it did."""
        try:
            return await reader.read(_CHUNK_BYTES)
        except OSError as error:
            _log.info("%s: %s went away: %s", self._stats.name, peer, error)
            return b""

    async def _keep(self, bodies: list[bytes], peer: str) -> None:
        """Put lines on the bus, however long it is full; while it is, nothing more is read."""
        if not bodies:
            return
        delivery = Delivery(self._stats.source, bodies, self._clock.now_ns(), peer)
        while True:
            try:
                await self._bus.append(delivery)
            except BusFull:
                if self._ending.is_set():
                    self._bus.count_drop(self._stats.source, "bus_full", len(bodies))
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FULL_WAIT_S):
                        await self._ending.wait()
            else:
                self._stats.took(len(bodies), delivery.arrival_ns)
                return
