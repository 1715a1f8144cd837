"""The thread that takes datagrams from a socket and puts them on the bus.

Back pressure: none is possible; a sender of datagrams cannot be told. So receiving waits for nothing: not for
parsing, not for the disk, and for the interpreter's lock once per batch. What the bus has no room for, what
the kernel had no room for, and what came from somebody who may not send is counted, each with its reason.

Delivery: a datagram that the kernel took is on the bus, or counted, before the listener ends.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

from pipeline.clock import Clock
from pipeline.contracts import Inlet
from pipeline.model import Delivery
from pipeline.sources.peers import AllowList
from pipeline.sources.recvmmsg import MSG_WAITFORONE, SO_RXQ_OVFL, DatagramBatch, dropped_in_all
from pipeline.sources.stats import ListenerStats

_log = logging.getLogger(__name__)

_IDLE_S = 0.1
"""How long a receive waits for the first datagram: also how soon the thread sees that it is to end."""
_DRAIN_S = 0.5
"""How long the end may take, where a sender goes on and on."""
_NAP_S = 0.001
_NAP_BUFFER_BYTES = 2**20
"""From this much buffer on the thread naps between batches, so that it takes 50 datagrams where it would take
3, for half of the processor and a tenth of the contention for the interpreter's lock. 1 MiB holds 5 ms of
50,000 datagrams a second twice over; less is emptied as fast as can be."""
_WRAP = 2**32


class DatagramThread:
    """Receives between `async with` and its end.

    Args:
        receiver: A bound datagram socket; closed at the end.
        name: What an operator reads: the address.
        peers: Who may send; None where the file system has decided (unix sockets).
    """

    def __init__(
        self, receiver: socket.socket, name: str, *, bus: Inlet, clock: Clock, stats: ListenerStats,
        peers: AllowList | None,
    ) -> None:  # fmt: skip
        self.address = name
        self._receiver = receiver
        self._bus = bus
        self._clock = clock
        self._stats = stats
        self._peers = peers
        self._drops_counted = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=stats.name, daemon=True)

    async def __aenter__(self) -> Self:
        self._receiver.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        self._receiver.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, int(_IDLE_S * 1e6))
        )
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            batch = DatagramBatch(self._receiver)
            self._receive(batch)
            self._drain(batch)
        except OSError:
            _log.exception(
                "%s: the socket broke; nothing more is received on %s", self._stats.name, self.address
            )
        finally:
            self._count_drops(dropped_in_all(self._receiver))
            self._receiver.close()

    def _receive(self, batch: DatagramBatch) -> None:
        nap_s = _NAP_S if self._stats.buffer_granted >= _NAP_BUFFER_BYTES else 0.0
        while not self._ending.is_set():
            taken = self._take(batch, MSG_WAITFORONE)
            if not taken:
                self._count_drops(dropped_in_all(self._receiver))
            elif nap_s and taken < batch.most:
                time.sleep(nap_s)

    def _drain(self, batch: DatagramBatch) -> None:
        """Take what the kernel still holds."""
        deadline = time.monotonic() + _DRAIN_S
        while self._take(batch, socket.MSG_DONTWAIT):
            if time.monotonic() > deadline:
                _log.warning("%s: stopped while datagrams still came on %s", self._stats.name, self.address)
                return

    def _take(self, batch: DatagramBatch, flags: int) -> int:
        """Put one batch on the bus; gives how many datagrams it had."""
        received = batch.receive(flags)
        if received is None:
            return 0
        bodies, addresses, drops = received
        if drops is not None:
            self._count_drops(drops)
        arrival_ns = self._clock.now_ns()
        if addresses.count(addresses[0]) == len(addresses):
            self._hand_on(addresses[0], bodies, arrival_ns)
            return len(bodies)
        by_address: dict[bytes, list[bytes]] = {}
        for address, body in zip(addresses, bodies, strict=True):
            by_address.setdefault(address, []).append(body)
        for address, its in by_address.items():
            self._hand_on(address, its, arrival_ns)
        return len(bodies)

    def _hand_on(self, address: bytes, bodies: list[bytes], arrival_ns: int) -> None:
        peer = self._peers.admit(address) if self._peers else ""
        source = self._stats.source
        if peer is None:
            self._bus.count_drop(source, "not_allowed", len(bodies))
            return
        self._bus.append_nowait(Delivery(source, bodies, arrival_ns, peer))
        self._stats.took(len(bodies), arrival_ns)

    def _count_drops(self, drops: int) -> None:
        """Count what the kernel dropped since last asked, by its running total modulo 2**32."""
        more = (drops - self._drops_counted) % _WRAP
        # A total from before the last look is a little behind, not four thousand million ahead.
        if 0 < more < _WRAP // 2:
            self._drops_counted = drops
            self._bus.count_drop(self._stats.source, "kernel_buffer", more)
