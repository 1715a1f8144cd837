"""A burst of datagrams into the journal: what is lost, and what one costs.

50,000 datagrams of 700 bytes a second for ten seconds, from another process, to 127.0.0.1. Two receivers,
each with a journal of its own, alone and beside a thread that computes in Python without pause, as parsing
does: ours, and asyncio's own datagram endpoint, one callback a datagram, with the same buffer and the journal
given what came in one round of the loop. Processor time counts all threads of the receiving process, the
journal's included, the computing thread's not.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pipeline.addresses import split_address
from pipeline.bus.journal import Journal, open_journal
from pipeline.clock import SystemClock
from pipeline.config import SyslogConfig
from pipeline.interpreter import tune
from pipeline.listening import address_of, bound_socket
from pipeline.model import Delivery, OutcomeKind, Source
from pipeline.sources.recvmmsg import dropped_in_all
from pipeline.sources.stats import ListenerStats, SourceStats
from pipeline.sources.syslog_udp import enlarge_buffer, listen_udp

RATE, SECONDS, SIZE = 50_000, 10, 700
CAP = 2**30


class Measured(NamedTuple):
    """One receiver's result."""

    sent: int
    kept: int
    kernel_drops: int
    other_drops: int
    buffer: int
    cpu_us: float


def send(address: str) -> None:
    """Send at a steady rate, 64 datagrams a system call; prints how many were sent."""
    from pipeline.sources.recvmmsg import _IoVector, _MessageHeader  # noqa: PLC0415 -- same layout

    libc, most = ctypes.CDLL(None, use_errno=True), 64
    line = (b"<134>" + b"x" * SIZE)[:SIZE]
    body = ctypes.create_string_buffer(line, SIZE)
    vector = _IoVector(ctypes.addressof(body), SIZE)
    headers = (_MessageHeader * most)()
    for header in headers:
        header.vector, header.vector_count = ctypes.addressof(vector), 1
    sent, total, began = 0, RATE * SECONDS, time.perf_counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(split_address(address))
        while sent < total:
            due = min(total, int((time.perf_counter() - began) * RATE))
            while sent < due:
                sent += max(0, libc.sendmmsg(sender.fileno(), headers, min(most, due - sent), 0))
            time.sleep(0.0002)
    print(sent)


@contextmanager
def computing(wanted: bool) -> Iterator[list[float]]:
    """Keep a thread busy with Python; gives the processor seconds it took, once it has ended."""
    ending, took = threading.Event(), [0.0]

    def work() -> None:
        total = 0
        while not ending.is_set():
            for number in range(1000):
                total += number * number
        took[0] = time.thread_time()

    thread = threading.Thread(target=work)
    if wanted:
        thread.start()
    try:
        yield took
    finally:
        ending.set()
        if wanted:
            thread.join()


class StockProtocol(asyncio.DatagramProtocol):
    """What asyncio offers: a callback for each datagram."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._bodies: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Gather what comes in one round of the loop."""
        if not self._bodies:
            asyncio.get_running_loop().call_soon(self._hand_on, addr[0])
        self._bodies.append(data)

    def _hand_on(self, peer: str) -> None:
        bodies, self._bodies = self._bodies, []
        self._journal.append_nowait(Delivery(Source.HAPROXY, bodies, time.time_ns(), peer))


@asynccontextmanager
async def stock(config: SyslogConfig, journal: Journal, listener: ListenerStats) -> AsyncIterator[str]:
    """Listen with asyncio's datagram endpoint."""
    receiver = bound_socket(config.udp, socket.SOCK_DGRAM, "udp")
    enlarge_buffer(receiver, config.receive_buffer, listener, config.udp)
    receiver.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: StockProtocol(journal), sock=receiver)
    try:
        yield address_of(receiver)
        end = -1
        while end != journal.end:  # what the kernel holds is taken in before it counts as lost
            end = journal.end
            await asyncio.sleep(0.3)
        journal.count_drop(Source.HAPROXY, "kernel_buffer", dropped_in_all(receiver))
    finally:
        transport.close()


@asynccontextmanager
async def ours(config: SyslogConfig, journal: Journal, stats: SourceStats) -> AsyncIterator[str]:
    """Listen as the program does."""
    async with listen_udp(config, journal, SystemClock(), stats) as listening:
        yield listening.address


async def burst(*, with_stock: bool, beside_parser: bool) -> Measured:
    """Run one burst."""
    config, stats = SyslogConfig(udp="127.0.0.1:0"), SourceStats()
    listener = stats.listener("syslog_udp", Source.HAPROXY)
    with TemporaryDirectory() as directory, computing(beside_parser) as computed:
        async with open_journal(Path(directory), CAP) as journal:
            listening = stock(config, journal, listener) if with_stock else ours(config, journal, stats)
            before_s = processor_s()
            async with listening as address:
                sending = await asyncio.create_subprocess_exec(
                    sys.executable, __file__, address, stdout=subprocess.PIPE
                )
                sent = int((await sending.communicate())[0])
            used_s = processor_s() - before_s
            account = journal.account()
    drops = {left.reason: n for left, n in account.outcomes.items() if left.kind is OutcomeKind.DROPPED}
    kernel, kept = drops.pop("kernel_buffer", 0), account.pending[Source.HAPROXY]
    used_s -= computed[0]
    return Measured(sent, kept, kernel, sum(drops.values()), listener.buffer_granted, used_s / kept * 1e6)


def processor_s() -> float:
    """Give the processor seconds of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main() -> None:
    """Print everything."""
    tune()
    logging.basicConfig(level=logging.WARNING)
    print(f"{RATE:,} datagrams of {SIZE} B a second for {SECONDS} s into the journal, synced")
    results = {}
    for name, with_stock, beside_parser in (
        ("ours", False, False),
        ("ours, beside a busy thread", False, True),
        ("asyncio's endpoint", True, False),
        ("asyncio's, beside a busy thread", True, True),
    ):
        one = results[name] = await burst(with_stock=with_stock, beside_parser=beside_parser)
        print(
            f"{name:32} sent {one.sent:,}, kept {one.kept:,} ({one.kept / one.sent:.2%}), "
            f"kernel drops {one.kernel_drops:,}, other drops {one.other_drops:,}, "
            f"buffer {one.buffer / 2**20:g} MiB, {one.cpu_us:.2f} us of processor a datagram"
        )
    ratio = results["asyncio's endpoint"].cpu_us / results["ours"].cpu_us
    print(f"asyncio's endpoint takes {ratio:.1f} times the processor a datagram, the journal included")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        send(sys.argv[1])
    else:
        asyncio.run(main())
