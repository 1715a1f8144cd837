"""A running door, and what watches whether it stays shut."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest


@dataclass
class Door:
    """A door that listens."""

    address: str
    directory: Path
    process: subprocess.Popen[str]
    scheme: str = "http"
    client: httpx.Client = field(default_factory=httpx.Client)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}/"

    @property
    def log(self) -> str:
        return (self.directory / "door.log").read_text(encoding="utf-8")

    def ask(
        self, sql: str | bytes, *, headers: dict[str, str] | None = None, **params: object
    ) -> httpx.Response:
        """Send SQL as curl does."""
        return self.client.post(self.url, content=sql, params=dict(params), headers=headers, timeout=60)

    def text(self, sql: str, **params: object) -> str:
        """Send SQL that must be answered; give its rows as TSV."""
        response = self.ask(sql, **params)
        assert response.status_code == 200, response.text
        return response.text


def finish(process: subprocess.Popen[str]) -> int:
    """Ask a door to end, and wait until it has."""
    if process.poll() is None:
        process.communicate(timeout=60)
    return process.returncode


OpenDoor = Callable[..., Door]


@pytest.fixture(scope="session")
def open_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoor]:
    """Give a function that starts a door with some of its settings changed."""
    with ExitStack() as stack:

        def start(program: str = "door_process.py", **config: object) -> Door:
            directory = tmp_path_factory.mktemp("door")
            log = stack.enter_context((directory / "door.log").open("wb"))
            arguments = [str(directory / "store"), json.dumps({"listen": "127.0.0.1:0", **config})]
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name(program)), *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            )
            stack.callback(finish, process)
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, (directory / "door.log").read_text(encoding="utf-8")
            scheme = "https" if config.get("tls") else "http"
            client = stack.enter_context(httpx.Client(verify=False))  # noqa: S501 -- a certificate of its own
            return Door(address, directory, process, scheme, client)

        yield start


@pytest.fixture(scope="session")
def door(open_door: OpenDoor) -> Door:
    """Give a door as it is out of the box, but that a query may take five seconds and a gigabyte."""
    return open_door(max_seconds=5, max_memory_bytes=2**30)
