"""The real program as a process, on the captured corpus."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

CORPUS = Path(__file__).parents[1] / "captures" / "kong" / "corpus"
HOPTRAIL = [sys.executable, "-m", "pipeline"]
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HOPTRAIL_")}


def run(*words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of Hoptrail's to its end."""
    done = subprocess.run(
        [*HOPTRAIL, *map(str, words)],
        capture_output=True,
        text=True,
        env=_ENVIRONMENT,
        check=False,
        timeout=120,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def haproxy_lines() -> list[bytes]:
    """Give the corpus's HAProxy lines, 1500."""
    return (CORPUS / "haproxy.log").read_bytes().splitlines()


@pytest.fixture(scope="session")
def kong_bodies() -> list[bytes]:
    """Give the corpus's http-log bodies, 1544, as they were posted."""
    bodies = []
    for line in (CORPUS / "kong.jsonl").read_text(encoding="utf-8").splitlines():
        capture = json.loads(line)
        encoded = capture.get("body_b64")
        bodies.append(base64.b64decode(encoded) if encoded else capture["body"].encode())
    return bodies


@pytest.fixture(scope="session")
def truth() -> list[dict[str, Any]]:
    """Give what the corpus's clients saw."""
    lines = (CORPUS / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    return run


@dataclass
class Serving:
    """A process of `hoptrail serve`."""

    data_dir: Path
    process: subprocess.Popen[bytes]
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def syslog(self) -> tuple[str, int]:
        host, _, port = self.addresses["syslog_udp"].rpartition(":")
        return host, int(port)

    def send(self, *lines: bytes) -> None:
        """Send lines as datagrams."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for line in lines:
                sender.sendto(line + b"\n", self.syslog)

    def post(self, body: bytes) -> int:
        """Post a body as Kong does; gives the status."""
        url = self.addresses["ingest_url"] + "/ingest/kong"
        return httpx.post(
            url, content=body, headers={"content-type": "application/json"}, trust_env=False
        ).status_code

    def status(self) -> dict[str, Any]:
        """Give the status document."""
        answer = httpx.get(self.addresses["ingest_url"] + "/status", trust_env=False, timeout=30)
        return dict(answer.json())

    def wait_for(self, is_so: Callable[[dict[str, Any]], bool], within_s: float = 60.0) -> dict[str, Any]:
        """Wait until the status is as wanted."""
        deadline = time.monotonic() + within_s
        while True:
            status = self.status()
            if is_so(status):
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.05)  # between two questions, not instead of one

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to stop, as systemd does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Start the process on free ports; the same data directory again goes on with it."""
    started: list[Serving] = []

    def start(data_dir: Path | None = None, **settings: object) -> Serving:
        data_dir = data_dir or tmp_path / "data"
        lines = {
            "data_dir": str(data_dir),
            "join": {"window_s": settings.pop("window_s", 2)},
            "sources": {
                "syslog": {"udp": settings.pop("udp", "127.0.0.1:0"), "tcp": "127.0.0.1:0"},
                "kong": {"listen": "127.0.0.1:0"},
            },
            "door": {"listen": "127.0.0.1:0"},
        } | settings
        config = tmp_path / "hoptrail.yaml"
        config.write_text(json.dumps(lines), encoding="utf-8")
        with (tmp_path / "serve.log").open("ab") as log:
            process = subprocess.Popen(
                [*HOPTRAIL, "serve", "--config", str(config)], stderr=log, stdout=log, env=_ENVIRONMENT
            )
        serving = Serving(data_dir, process)
        started.append(serving)
        serving.addresses = _announced(serving, tmp_path / "serve.log")
        return serving

    yield start
    for serving in started:
        if serving.process.poll() is None:
            serving.kill()


def _announced(serving: Serving, log: Path) -> Mapping[str, str]:
    """Wait for the `server.json` of this very process."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            server = json.loads((serving.data_dir / "server.json").read_text(encoding="utf-8"))
            if server["pid"] == serving.process.pid:
                return dict(server)
        except (OSError, ValueError):
            pass
        assert serving.process.poll() is None, log.read_text(errors="replace")
        time.sleep(0.05)  # between two looks, not instead of one
    raise AssertionError(log.read_text(errors="replace"))
