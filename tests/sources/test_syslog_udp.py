"""Datagrams come in whatever else happens, and what does not come in is counted."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from pipeline.bus.memory import MemoryBus
from pipeline.clock import SystemClock
from pipeline.config import SyslogConfig
from pipeline.contracts import Bus
from pipeline.errors import ConfigError
from pipeline.listening import address_of
from pipeline.model import Delivery, Source
from pipeline.sources.datagrams import DatagramThread
from pipeline.sources.peers import AllowList
from pipeline.sources.stats import SourceStats
from pipeline.sources.syslog_udp import listen_udp

Sender = Callable[..., socket.socket]
Take = Callable[[Bus, int], Awaitable[list[Delivery]]]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
Drops = Callable[[Bus], dict[str, int]]


@pytest.mark.parametrize(("listen", "peer"), [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")])
async def test_datagrams_reach_the_bus_as_they_came(
    listen: str,
    peer: str,
    bus: MemoryBus,
    clock: SystemClock,
    stats: SourceStats,
    take: Take,
    udp_sender: Sender,
) -> None:
    before_ns = clock.now_ns()
    sent = [b"<134>one\n", b"two \xff\x00", b"\nthree", b"four" * 10_000]
    async with listen_udp(SyslogConfig(udp=listen), bus, clock, stats) as listener:
        assert not listener.address.endswith(":0")
        sender = udp_sender(listener.address)
        for body in sent:
            sender.send(body)
        deliveries = await take(bus, len(sent))
    assert [body for delivery in deliveries for body in delivery.bodies] == sent
    assert {(delivery.source, delivery.peer) for delivery in deliveries} == {(Source.HAPROXY, peer)}
    assert all(before_ns <= delivery.arrival_ns <= clock.now_ns() for delivery in deliveries)
    assert stats.listeners["syslog_udp"].records == len(sent)
    assert stats.last_arrivals_ns[Source.HAPROXY] == deliveries[-1].arrival_ns


async def test_a_socket_of_both_families_knows_an_ipv4_peer_by_its_ipv4_address(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take, udp_sender: Sender
) -> None:
    config = SyslogConfig(udp="[::]:0", allow=("127.0.0.0/8",))
    async with listen_udp(config, bus, clock, stats) as listener:
        udp_sender(listener.address.replace("[::]", "127.0.0.1")).send(b"line")
        assert [delivery.peer for delivery in await take(bus, 1)] == ["127.0.0.1"]


async def test_what_comes_from_several_peers_is_kept_apart_and_in_order(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take, udp_sender: Sender
) -> None:
    async with listen_udp(SyslogConfig(udp="127.0.0.1:0"), bus, clock, stats) as listener:
        senders = [udp_sender(listener.address, f"127.0.0.{host}") for host in (1, 2, 3)]
        for number in range(30):
            senders[number % 3].send(b"%d" % number)
        deliveries = await take(bus, 30)
    for host in range(3):
        its = [d for d in deliveries if d.peer == f"127.0.0.{host + 1}"]
        assert [int(body) for delivery in its for body in delivery.bodies] == list(range(host, 30, 3))


async def test_a_peer_that_is_not_allowed_is_counted_and_not_heard(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take, drops: Drops, udp_sender: Sender
) -> None:
    config = SyslogConfig(udp="127.0.0.1:0", allow=("127.0.0.1/32",))
    async with listen_udp(config, bus, clock, stats) as listener:
        for _ in range(7):
            udp_sender(listener.address, "127.0.0.2").send(b"forged")
        udp_sender(listener.address).send(b"true")
        deliveries = await take(bus, 1)
    assert [delivery.bodies for delivery in deliveries] == [[b"true"]]
    assert drops(bus) == {"not_allowed": 7}
    assert stats.listeners["syslog_udp"].records == 1


async def test_what_the_kernel_drops_is_counted_although_nothing_comes_behind_it(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, drops: Drops, udp_sender: Sender
) -> None:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    receiver.bind(("127.0.0.1", 0))
    sender = udp_sender(address_of(receiver))
    for _ in range(1000):  # the receiving thread has not begun
        sender.send(b"x" * 700)
    listener = stats.listener("syslog_udp", Source.HAPROXY)
    thread = DatagramThread(receiver, "here", bus=bus, clock=clock, stats=listener, peers=AllowList(()))
    thread._ending.set()
    async with thread:
        pass
    assert 0 < listener.records < 1000
    assert drops(bus) == {"kernel_buffer": 1000 - listener.records}


async def test_drops_are_counted_once_however_often_the_kernel_tells_them(
    bus: MemoryBus,
    clock: SystemClock,
    stats: SourceStats,
    drops: Drops,
    eventually: Eventually,
    udp_sender: Sender,
) -> None:
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    receiver.bind(("127.0.0.1", 0))
    sender = udp_sender(address_of(receiver))
    for _ in range(1000):
        sender.send(b"x" * 700)
    listener = stats.listener("syslog_udp", Source.HAPROXY)
    async with DatagramThread(receiver, "here", bus=bus, clock=clock, stats=listener, peers=AllowList(())):
        await eventually(lambda: "kernel_buffer" in drops(bus))
        for number in range(20):
            sender.send(b"later %d" % number)
            await eventually(
                lambda want=number: listener.records + drops(bus)["kernel_buffer"] == 1001 + want
            )
    assert listener.records + drops(bus)["kernel_buffer"] == 1020


def test_a_total_that_lags_or_wraps_is_counted_right(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, drops: Drops
) -> None:
    """SO_RXQ_OVFL tells the total of when a datagram was queued, SO_MEMINFO that of now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        listener = stats.listener("syslog_udp", Source.HAPROXY)
        thread = DatagramThread(receiver, "here", bus=bus, clock=clock, stats=listener, peers=None)
        for total in (10, 8, 10, 12):
            thread._count_drops(total)
        assert drops(bus) == {"kernel_buffer": 12}
        thread._drops_counted = 2**32 - 3
        thread._count_drops(2)
        assert drops(bus) == {"kernel_buffer": 17}


async def test_what_the_bus_has_no_room_for_is_counted(
    clock: SystemClock, stats: SourceStats, drops: Drops, eventually: Eventually, udp_sender: Sender
) -> None:
    bus = MemoryBus(max_bytes=20_000)
    async with listen_udp(SyslogConfig(udp="127.0.0.1:0"), bus, clock, stats) as listener:
        sender = udp_sender(listener.address)
        for number in range(1, 101):
            sender.send(b"x" * 1000)
            await eventually(lambda want=number: stats.listeners["syslog_udp"].records == want)
    assert 80 <= drops(bus)["bus_full"] < 100
    assert bus.account().pending[Source.HAPROXY] == 100 - drops(bus)["bus_full"]


async def test_what_the_kernel_holds_at_the_end_is_taken_in(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, drops: Drops, udp_sender: Sender
) -> None:
    async with listen_udp(SyslogConfig(udp="127.0.0.1:0"), bus, clock, stats) as listener:
        sender = udp_sender(listener.address)
        for _ in range(5000):
            sender.send(b"x" * 100)
    assert stats.listeners["syslog_udp"].records + drops(bus).get("kernel_buffer", 0) == 5000


async def test_an_idle_listener_ends_promptly_and_frees_its_port(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    async with listen_udp(SyslogConfig(udp="127.0.0.1:0"), bus, clock, stats) as listener:
        address = listener.address
        began = time.monotonic()
    assert time.monotonic() - began < 2
    async with listen_udp(SyslogConfig(udp=address), bus, clock, stats) as again:
        assert again.address == address


async def test_receiving_does_not_wait_for_the_loop(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, udp_sender: Sender
) -> None:
    """The loop is blocked all the while; records come in beside it."""
    async with listen_udp(SyslogConfig(udp="127.0.0.1:0"), bus, clock, stats) as listener:
        udp_sender(listener.address).send(b"line")
        deadline = time.monotonic() + 20
        while not stats.listeners["syslog_udp"].records:
            assert time.monotonic() < deadline


async def test_a_taken_port_names_setting_address_and_fix(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    async with listen_udp(SyslogConfig(udp="127.0.0.1:0"), bus, clock, stats) as listener:
        with pytest.raises(ConfigError) as refused:
            async with listen_udp(SyslogConfig(udp=listener.address), bus, clock, stats):
                pass
    assert f"sources.syslog.udp: cannot listen on {listener.address}: it is taken" in str(refused.value)


async def test_a_smaller_buffer_than_asked_for_warns_with_the_cure(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, caplog: pytest.LogCaptureFixture
) -> None:
    most = 2**31 - 1  # twice this does not fit the kernel's number, so nobody gets it
    async with listen_udp(SyslogConfig(udp="127.0.0.1:0", receive_buffer=most), bus, clock, stats):
        listener = stats.listeners["syslog_udp"]
    assert (listener.buffer_asked, listener.buffer_granted < most) == (most, True)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"sysctl -w net.core.rmem_max={most}" in caplog.text


async def test_a_burst_beside_a_thread_that_parses_python_is_kept(
    bus: MemoryBus,
    clock: SystemClock,
    stats: SourceStats,
    drops: Drops,
    eventually: Eventually,
    udp_sender: Sender,
) -> None:
    ending = asyncio.Event()

    def parse() -> None:
        while not ending.is_set():
            sum(range(1000))

    async with listen_udp(
        SyslogConfig(udp="127.0.0.1:0", receive_buffer=2**20), bus, clock, stats
    ) as listener:
        parsing = asyncio.ensure_future(asyncio.to_thread(parse))
        sender = udp_sender(listener.address)
        for number in range(100):
            for _ in range(100):
                sender.send(b"x" * 100)
            await eventually(lambda want=number: stats.listeners["syslog_udp"].records >= want * 100 - 400)
        ending.set()
        await parsing
    assert stats.listeners["syslog_udp"].records == 10_000
    assert drops(bus) == {}
