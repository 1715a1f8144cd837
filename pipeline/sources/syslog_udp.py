"""HAProxy's lines over UDP: one datagram, one record.

Of all of HAProxy's transports this is the one to use: it loses nothing at a reload, and what it loses to a
full buffer is counted by the kernel. See `datagrams` for back pressure and delivery.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from pipeline.clock import Clock
from pipeline.config import SyslogConfig
from pipeline.contracts import Inlet
from pipeline.listening import address_of, bound_socket
from pipeline.model import Source
from pipeline.sources.datagrams import DatagramThread
from pipeline.sources.peers import AllowList
from pipeline.sources.stats import ListenerStats, SourceStats

_log = logging.getLogger(__name__)

_SO_RCVBUFFORCE = 33
"""Socket option: a receive buffer above `net.core.rmem_max`; needs CAP_NET_ADMIN."""


class Listening(Protocol):
    """What a listener tells."""

    @property
    def address(self) -> str:
        """Where it listens, with the real port."""
        ...


@asynccontextmanager
async def listen_udp(
    config: SyslogConfig, bus: Inlet, clock: Clock, stats: SourceStats
) -> AsyncIterator[Listening]:
    """Receive datagrams on `config.udp` for as long as the block runs.

    On leaving, what the kernel holds is taken in first, for half a second at most.

    Raises:
        ConfigError: The address cannot be bound.
    """
    receiver = bound_socket(config.udp, socket.SOCK_DGRAM, "sources.syslog.udp")
    listener = stats.listener("syslog_udp", Source.HAPROXY)
    address = address_of(receiver)
    enlarge_buffer(receiver, config.receive_buffer, listener, address)
    peers = AllowList(config.allow)
    async with DatagramThread(receiver, address, bus=bus, clock=clock, stats=listener, peers=peers) as thread:
        yield thread


def enlarge_buffer(receiver: socket.socket, asked: int, stats: ListenerStats, address: str) -> None:
    """Ask for a receive buffer, and say what was granted.

    The kernel doubles what it is asked for, to pay for its own bookkeeping; numbers here are before doubling.
    It charges 1.3 to 2.3 KiB for a datagram of 700 bytes: 64 MiB hold a second or two of 50,000 a second.
    """
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, asked)  # up to net.core.rmem_max
    with contextlib.suppress(OSError):
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, asked)
    granted = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
    stats.buffer_asked, stats.buffer_granted = asked, granted
    if granted < asked:
        _log.warning(
            "%s on %s: receive buffer of %d bytes, %d were asked for: bursts may be dropped (and counted). "
            "To allow it: sysctl -w net.core.rmem_max=%d",
            stats.name, address, granted, asked, asked,
        )  # fmt: skip
    else:
        _log.info("%s on %s: receive buffer of %d bytes", stats.name, address, granted)
