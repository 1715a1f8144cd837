"""HAProxy's lines over a unix datagram socket (`log /path/to/socket …`).

The weakest transport under load: the kernel queues `net.unix.max_dgram_qlen` datagrams (10 on many systems)
whatever the buffer, and HAProxy drops rather than waits: 36 % were lost at 39,000 lines a second. Those show
as `DroppedLogs` in HAProxy's `show info` and as gaps in its `%lc`; the kernel counts none. Prefer UDP; where
it must be this one, raise `net.unix.max_dgram_qlen` before starting. See `datagrams` for the rest.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from pipeline.clock import Clock
from pipeline.config import SyslogConfig
from pipeline.contracts import Inlet
from pipeline.errors import ConfigError
from pipeline.model import Source
from pipeline.sources.datagrams import DatagramThread
from pipeline.sources.stats import SourceStats
from pipeline.sources.syslog_udp import Listening


@asynccontextmanager
async def listen_unix(
    config: SyslogConfig, bus: Inlet, clock: Clock, stats: SourceStats
) -> AsyncIterator[Listening]:
    """Receive datagrams on the socket file `config.unix` for as long as the block runs.

    The file is made with the mode `config.unix_mode` and removed at the end. One that a killed process left
    behind is replaced; anything else of that name is left alone.

    Raises:
        ConfigError: Somebody listens there, or it is not a socket, or it cannot be made.
    """
    listener = stats.listener("syslog_unix", Source.HAPROXY)
    with _socket_file(Path(config.unix), config.unix_mode) as receiver:
        thread = DatagramThread(receiver, config.unix, bus=bus, clock=clock, stats=listener, peers=None)
        async with thread:
            yield thread


@contextmanager
def _socket_file(path: Path, mode: int) -> Iterator[socket.socket]:
    """Give a socket bound to a file that is removed at the end."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        _remove_stale(path)
        _bind(receiver, path, mode)
        made = path.lstat()
    except ConfigError:
        receiver.close()
        raise
    except OSError as error:
        receiver.close()
        raise ConfigError(
            f"sources.syslog.unix: cannot listen on {path}: {error.strerror or error}"
        ) from error
    try:
        yield receiver
    finally:
        receiver.close()
        with suppress(OSError):
            if path.lstat().st_ino == made.st_ino:  # not one that a successor has made
                path.unlink()


def _bind(receiver: socket.socket, path: Path, mode: int) -> None:
    """Bind with no rights at all, then grant those wanted: nobody can slip in between."""
    before = os.umask(0o777)
    try:
        receiver.bind(str(path))
    finally:
        os.umask(before)
    path.chmod(mode)


def _remove_stale(path: Path) -> None:
    """Remove a socket file that nobody listens on."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigError(f"sources.syslog.unix: {path} exists and is not a socket: choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno != errno.ECONNREFUSED:
                raise
            path.unlink()
            return
    raise ConfigError(
        f"sources.syslog.unix: a process listens on {path} already: stop it, or choose another path"
    )
