"""The real `hoptrail serve`, as a child process with a configuration of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import yaml

from pipeline.data_dir import make_private
from pipeline.demo.haproxy_process import stop
from pipeline.errors import ConfigError

COMMAND = (sys.executable, "-P", "-c", "from pipeline.cli import main; main()")
"""Starts the `hoptrail` command of this very installation."""

_START_S = 60.0
_DRAIN_S = 15.0


@dataclass(slots=True)
class Server:
    """A running server."""

    addresses: Mapping[str, str]
    """As it printed them: `ingest_url`, `read_url`, `syslog_udp`, `syslog_tcp`."""
    exit_code: int | None = None
    """Set when the block was left."""


def write_config(data_dir: Path, *, secret: str, window_s: float) -> Path:
    """Write a configuration with free ports on loopback into `data_dir`/demo; gives the file."""
    folder = make_private(make_private(data_dir) / "demo")
    secret_file = folder / "log-secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret, encoding="utf-8")
    free = "127.0.0.1:0"
    tree = {
        "data_dir": str(data_dir.resolve()),
        "sources": {
            "syslog": {"udp": free, "tcp": free},
            "kong": {"listen": free, "secret_file": str(secret_file.resolve())},
        },
        "door": {"listen": free},
        "store": {"batch_age_s": 0.3},
        "join": {"window_s": window_s},
        "drain_s": _DRAIN_S,
        "log_level": "warning",
    }
    file = folder / "hoptrail.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return file


@asynccontextmanager
async def running_serve(config_file: Path, output: Path) -> AsyncIterator[Server]:
    """Run `hoptrail serve` until the block is left; then it is told to stop, and drains.

    Args:
        config_file: Its configuration; no variable of ours reaches it.
        output: File for what it says.

    Raises:
        ConfigError: It ended before it was ready; its last words are in the message.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HOPTRAIL_")}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "serve", "--config", str(config_file),
        env=ours, start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if process.stderr is None:
        raise ConfigError("hoptrail serve has no standard error")
    said: list[str] = []
    server = Server({})
    with output.open("w", encoding="utf-8") as words:
        try:
            async with asyncio.TaskGroup() as group:
                ready = asyncio.Event()
                group.create_task(_listen(process.stderr, words, said, ready))
                async with asyncio.timeout(_START_S):
                    await ready.wait()
                if "ready" not in said:
                    raise ConfigError("hoptrail serve did not start: " + " | ".join(said[-5:]))
                pairs = (line.split() for line in said)
                server.addresses = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}  # noqa: PLR2004
                try:
                    yield server
                finally:
                    server.exit_code = await stop(process, _DRAIN_S + 5)
        finally:
            await stop(process)


async def _listen(
    stderr: asyncio.StreamReader, words: IO[str], said: list[str], ready: asyncio.Event
) -> None:
    """Keep what it says; `ready` is set at that word, or when it ends without it."""
    while line := await stderr.readline():
        text = line.decode(errors="replace").rstrip()
        words.write(text + "\n")
        words.flush()
        if not ready.is_set():
            said.append(text)
        if text == "ready":
            ready.set()
    ready.set()
