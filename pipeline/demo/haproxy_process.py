"""The real HAProxy with the configuration of `deploy/`, as a child process."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from pipeline.errors import ConfigError
from pipeline.resources import resource

_SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_STOP_S = 10.0


def find_haproxy() -> str | None:
    """Give the binary's path; `/usr/sbin` is looked into even where the PATH lacks it."""
    return shutil.which("haproxy", path=_SEARCHED)


def edge_environment(
    *, bind: str, log: str, node: str, gateways: Sequence[int], status_port: int
) -> dict[str, str]:
    """Give the variables that `deploy/haproxy/haproxy.cfg` reads, for gateways on loopback."""
    servers = {f"KONG_BLUE_{number}": f"127.0.0.1:{port}" for number, port in enumerate(gateways, 1)}
    return {
        "EDGE_BIND": bind,
        "EDGE_LOG": log,
        "EDGE_NODE": node,
        "EDGE_MAXCONN": "400",
        "EDGE_RETRY_ANSWERS": "1",
        "KONG_STATUS_PORT": str(status_port),
        **servers,
    }


@asynccontextmanager
async def running_haproxy(
    binary: str,
    *,
    log: str,
    node: str,
    gateways: Sequence[int],
    status_port: int,
    output: Path,
    switches: Mapping[str, str] | None = None,
) -> AsyncIterator[int]:
    """Run HAProxy at a free port of loopback until the block is left; gives the port.

    The socket listens before HAProxy starts and is handed over, so that no other process can take the port
    and no request comes too early.

    Args:
        binary: From `find_haproxy`.
        log: Hoptrail's syslog over UDP, `host:port`.
        node: Its name in every line.
        gateways: Ports of the gateways.
        status_port: Where `/status/ready` answers.
        output: File for what it says.
        switches: Further variables of the configuration.

    Raises:
        ConfigError: It ended at once; its last words are in the message.
    """
    with socket.socket() as listener, output.open("wb") as words:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        port, bind = listener.getsockname()[1], f"fd@{listener.fileno()}"
        plain = edge_environment(bind=bind, log=log, node=node, gateways=gateways, status_port=status_port)
        # HAProxy takes no socket whose number is beyond twice its connections.
        most = str(max(int(plain["EDGE_MAXCONN"]), listener.fileno()))
        variables = {**plain, "EDGE_MAXCONN": most, **(switches or {})}
        process = await _start(binary, variables, words, listener)
        # HAProxy's own copy of the socket is the last one now: when it goes, connections are refused.
    try:
        if not await _answers(process, port):
            said = await asyncio.to_thread(output.read_text, errors="replace")
            raise ConfigError(
                f"haproxy did not start ({binary}; --no-real-haproxy goes without): {said[-500:]}"
            )
        yield port
    finally:
        await stop(process)


async def _start(
    binary: str, variables: Mapping[str, str], words: IO[bytes], listener: socket.socket
) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("EDGE_", "KONG_"))}
    return await asyncio.create_subprocess_exec(
        binary, "-f", str(resource("deploy/haproxy/haproxy.cfg")), "-db",
        env={**inherited, **variables}, pass_fds=[listener.fileno()], start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=words, stderr=words,
    )  # fmt: skip


async def _answers(process: asyncio.subprocess.Process, port: int) -> bool:
    """Wait until it takes a connection and closes it again, or ends; says which.

    A connection without a byte leaves no line (`option dontlognull`).
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write_eof()
    except OSError:
        await process.wait()
        return False
    async with asyncio.timeout(_STOP_S), asyncio.TaskGroup() as race:
        ended = race.create_task(process.wait())
        closed = race.create_task(_until_closed(reader))
        await asyncio.wait({ended, closed}, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        closed.cancel()
    writer.close()
    if closed.cancelled() or not closed.result():
        await process.wait()
    return process.returncode is None


async def _until_closed(reader: asyncio.StreamReader) -> bool:
    """Wait for the other side's end; False where it was reset, as by a process that dies at start."""
    try:
        await reader.read()
    except ConnectionError:
        return False
    return True


async def stop(process: asyncio.subprocess.Process, within_s: float = _STOP_S) -> int:
    """Ask a child to end, insist when it does not; gives its exit code."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(within_s):
                await process.wait()
        except TimeoutError:
            process.kill()
    return await process.wait()
