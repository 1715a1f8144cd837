"""Lines of a TCP stream come in whole however they are framed and cut, and a sender is told to wait."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from pipeline.bus.journal import Journal
from pipeline.bus.memory import MemoryBus
from pipeline.clock import SystemClock
from pipeline.config import SyslogConfig
from pipeline.contracts import Bus
from pipeline.errors import ConfigError
from pipeline.model import Delivery, Source
from pipeline.sources import syslog_stream
from pipeline.sources.stats import SourceStats
from pipeline.sources.syslog_stream import listen_tcp

Take = Callable[[Bus, int], Awaitable[list[Delivery]]]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]

CONFIG = SyslogConfig(tcp="127.0.0.1:0")
MIXED = b"<134>one\n12 <134>tw\no 2 \n9 127.0.0.1127.0.0.1:80 [23/Nov] three\n5 <1>\x004<134>end\n"
FRAMES = [
    b"<134>one",
    b"<134>tw\no 2 ",
    b"127.0.0.1",
    b"127.0.0.1:80 [23/Nov] three",
    b"<1>\x004",
    b"<134>end",
]


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    sender = socket.create_connection((host.strip("[]"), int(port)))
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sender


def bodies_of(deliveries: list[Delivery]) -> list[bytes]:
    return [body for delivery in deliveries for body in delivery.bodies]


@pytest.mark.parametrize("tcp", ["127.0.0.1:0", "[::1]:0"])
async def test_both_framings_of_one_connection_are_told_apart_split_at_every_byte(
    tcp: str, bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    async with listen_tcp(SyslogConfig(tcp=tcp), bus, clock, stats) as listener:
        for cut in range(len(MIXED)):
            with connect(listener.address) as sender:
                sender.sendall(MIXED[:cut])
                await asyncio.sleep(0)
                sender.sendall(MIXED[cut:])
                deliveries = await take(bus, len(FRAMES))
            assert bodies_of(deliveries) == FRAMES, f"cut at {cut}"
            assert {delivery.peer for delivery in deliveries} == {tcp.removesuffix(":0").strip("[]")}


async def test_a_stream_that_comes_byte_by_byte_is_the_same(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    async with listen_tcp(CONFIG, bus, clock, stats) as listener:
        with connect(listener.address) as sender:
            for at in range(len(MIXED)):
                sender.send(MIXED[at : at + 1])
                await asyncio.sleep(0)
            assert bodies_of(await take(bus, len(FRAMES))) == FRAMES
    assert stats.listeners["syslog_tcp"].records == len(FRAMES)


async def test_connections_do_not_mix(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    async with listen_tcp(CONFIG, bus, clock, stats) as listener:
        with connect(listener.address) as one, connect(listener.address) as two:
            one.sendall(b"half of ")
            two.sendall(b"15 half of another")
            assert bodies_of(await take(bus, 1)) == [b"half of another"]
            one.sendall(b"a line\n")
            assert bodies_of(await take(bus, 1)) == [b"half of a line"]


async def test_a_last_line_without_an_end_is_kept(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    async with listen_tcp(CONFIG, bus, clock, stats) as listener:
        with connect(listener.address) as sender:
            sender.sendall(b"<134>whole\n<134>cut of")
        assert bodies_of(await take(bus, 2)) == [b"<134>whole", b"<134>cut of"]


async def test_a_connection_that_is_reset_ends_alone(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    async with listen_tcp(CONFIG, bus, clock, stats) as listener:
        with connect(listener.address) as broken, connect(listener.address) as sound:
            broken.sendall(b"before\n")
            await take(bus, 1)
            broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            broken.close()
            sound.sendall(b"after\n")
            assert bodies_of(await take(bus, 1)) == [b"after"]


async def test_a_peer_that_is_not_allowed_is_closed_and_counted(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, eventually: Eventually
) -> None:
    async with listen_tcp(
        SyslogConfig(tcp="127.0.0.1:0", allow=("10.0.0.0/8",)), bus, clock, stats
    ) as listener:
        with connect(listener.address) as sender:
            await eventually(lambda: stats.listeners["syslog_tcp"].refused["not_allowed"] == 1)
            with pytest.raises(OSError, match=r"reset|Broken pipe"):
                sender.sendall(b"<134>forged\n" * 1_000_000)
    assert stats.listeners["syslog_tcp"].records == 0
    assert bus.account().pending[Source.HAPROXY] == 0


async def test_connections_are_bounded(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take, eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(syslog_stream, "_MOST_CONNECTIONS", 2)
    async with listen_tcp(CONFIG, bus, clock, stats) as listener:
        with connect(listener.address) as one, connect(listener.address) as two:
            for sender in (one, two):
                sender.sendall(b"line\n")
                await take(bus, 1)
            with connect(listener.address):
                await eventually(lambda: stats.listeners["syslog_tcp"].refused["too_many_connections"] == 1)
            one.close()
            two.sendall(b"still here\n")
            assert bodies_of(await take(bus, 1)) == [b"still here"]


async def test_a_sender_is_told_to_wait_and_loses_nothing(
    clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    bus = MemoryBus(max_bytes=100_000)
    lines = [b"%07d" % number + b"x" * 92 for number in range(300_000)]
    async with listen_tcp(CONFIG, bus, clock, stats) as listener:
        with connect(listener.address) as sender:
            sender.setblocking(False)
            rest, stalled = memoryview(b"\n".join(lines) + b"\n"), 0
            while stalled < 200:  # the kernel's buffers are full, and stay so
                try:
                    rest, stalled = rest[sender.send(rest[:65_536]) :], 0
                except BlockingIOError:
                    stalled += 1
                    await asyncio.sleep(0.001)
            assert stats.listeners["syslog_tcp"].records < 10_000
            assert len(rest) > 10_000_000
            sender.setblocking(True)
            sending = asyncio.ensure_future(asyncio.to_thread(sender.sendall, rest))
            assert bodies_of(await take(bus, len(lines))) == lines
            await sending


async def test_a_full_journal_stops_the_reading_until_there_is_room(
    full_journal: Journal, clock: SystemClock, stats: SourceStats, take: Take, eventually: Eventually,
    empty: Callable[[Bus], Awaitable[None]],
) -> None:  # fmt: skip
    async with listen_tcp(CONFIG, full_journal, clock, stats) as listener:
        with connect(listener.address) as sender:
            line = b"x" * 60_000
            sender.sendall(line + b"\n")
            await eventually(lambda: bool(listener._serving))
            await empty(full_journal)
            assert bodies_of(await take(full_journal, 1)) == [line]
    assert full_journal.account().outcomes.get((Source.HAPROXY, "dropped", "bus_full"), 0) == 0


async def test_what_a_full_bus_has_no_room_for_at_the_end_is_counted(
    full_journal: Journal,
    clock: SystemClock,
    stats: SourceStats,
    eventually: Eventually,
    drops: Callable[[Bus], dict[str, int]],
) -> None:
    async with listen_tcp(CONFIG, full_journal, clock, stats) as listener:
        with connect(listener.address) as sender:
            sender.sendall(b"x" * 60_000 + b"\n" + b"y" * 60_000 + b"\n")
            await eventually(lambda: bool(listener._serving))
    assert drops(full_journal) == {"bus_full": 2}


async def test_what_the_kernel_holds_at_the_end_is_taken_in(
    bus: MemoryBus,
    clock: SystemClock,
    stats: SourceStats,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(syslog_stream, "_GRACE_S", 3600)
    lines = [b"%d" % number for number in range(200)]
    async with listen_tcp(CONFIG, bus, clock, stats) as listener:
        sender = connect(listener.address)
        sender.sendall(b"first\n")
        await eventually(lambda: stats.listeners["syslog_tcp"].records == 1)
        sender.sendall(b"\n".join(lines) + b"\n")
    sender.close()
    assert bodies_of(await bus.read(1000, 0.0)) == [b"first", *lines]


async def test_what_fails_inside_the_block_comes_out_as_it_is(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    with pytest.raises(ConfigError, match="of another listener"):
        async with listen_tcp(CONFIG, bus, clock, stats):
            raise ConfigError("of another listener")


async def test_a_taken_port_names_setting_address_and_fix(
    bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    async with listen_tcp(CONFIG, bus, clock, stats) as listener:
        with pytest.raises(ConfigError) as refused:
            async with listen_tcp(SyslogConfig(tcp=listener.address), bus, clock, stats):
                pass
    assert f"sources.syslog.tcp: cannot listen on {listener.address}: it is taken" in str(refused.value)
