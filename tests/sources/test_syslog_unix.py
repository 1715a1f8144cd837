"""A unix socket is there for those who may write to it, and leaves nothing behind."""

from __future__ import annotations

import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pipeline.bus.memory import MemoryBus
from pipeline.clock import SystemClock
from pipeline.config import SyslogConfig
from pipeline.contracts import Bus
from pipeline.errors import ConfigError
from pipeline.model import Delivery, Source
from pipeline.sources.stats import SourceStats
from pipeline.sources.syslog_unix import listen_unix

Take = Callable[[Bus, int], Awaitable[list[Delivery]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sock"


def send(path: Path, *bodies: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(path))
        for body in bodies:
            sender.send(body)


def mode_of(path: Path) -> int | None:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def write(path: Path, text: str) -> None:
    """Make a file anew; the old one keeps its number, so that this one has another."""
    if path.exists():
        path.rename(path.with_name("old"))
    path.write_text(text, encoding="ascii")


def read(path: Path) -> str:
    return path.read_text(encoding="ascii")


async def test_lines_reach_the_bus_in_order(
    path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    async with listen_unix(SyslogConfig(unix=str(path)), bus, clock, stats) as listener:
        assert listener.address == str(path)
        send(path, b"<134>one\n", b"", b"\xfftwo")
        deliveries = await take(bus, 3)
    assert [body for delivery in deliveries for body in delivery.bodies] == [b"<134>one\n", b"", b"\xfftwo"]
    assert {(delivery.source, delivery.peer) for delivery in deliveries} == {(Source.HAPROXY, "")}
    assert stats.listeners["syslog_unix"].records == 3


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_the_file_has_the_mode_asked_for(
    mode: int, path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    async with listen_unix(SyslogConfig(unix=str(path), unix_mode=mode), bus, clock, stats):
        assert mode_of(path) == mode
    assert mode_of(path) is None


@pytest.mark.parametrize("mode", [660, 600, 440, 0o777, 0o060, -1])
def test_a_mode_that_is_not_octal_is_refused(mode: int) -> None:
    with pytest.raises(ValueError, match="octal"):
        SyslogConfig(unix_mode=mode)


async def test_a_file_left_by_a_killed_process_is_replaced(
    path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as killed:
        killed.bind(str(path))
    async with listen_unix(SyslogConfig(unix=str(path)), bus, clock, stats):
        send(path, b"line")
        assert [delivery.bodies for delivery in await take(bus, 1)] == [[b"line"]]


async def test_a_socket_that_is_in_use_is_left_alone(
    path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats, take: Take
) -> None:
    async with listen_unix(SyslogConfig(unix=str(path)), bus, clock, stats):
        with pytest.raises(ConfigError, match="listens on"):
            async with listen_unix(SyslogConfig(unix=str(path)), bus, clock, stats):
                pass
        send(path, b"line")
        assert [delivery.bodies for delivery in await take(bus, 1)] == [[b"line"]]


async def test_a_stream_socket_that_is_in_use_is_left_alone(
    path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConfigError, match="cannot listen"):
            async with listen_unix(SyslogConfig(unix=str(path)), bus, clock, stats):
                pass
    assert mode_of(path) is not None


async def test_a_file_that_is_no_socket_is_left_alone(
    path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    write(path, "precious")
    with pytest.raises(ConfigError, match="is not a socket"):
        async with listen_unix(SyslogConfig(unix=str(path)), bus, clock, stats):
            pass
    assert read(path) == "precious"


async def test_a_file_that_a_successor_has_made_is_left_alone(
    path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    async with listen_unix(SyslogConfig(unix=str(path)), bus, clock, stats):
        write(path, "another")
    assert read(path) == "another"


async def test_a_directory_that_is_not_there_is_named(
    tmp_path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    path = tmp_path / "missing" / "log.sock"
    with pytest.raises(ConfigError, match="No such file or directory"):
        async with listen_unix(SyslogConfig(unix=str(path)), bus, clock, stats):
            pass
