"""Processes of Hoptrail's around a cluster: started, fed, asked, killed. Loaded by `conftest.py`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pipeline.bus.kafka.standing import read_standing
from pipeline.cli.kafka import standing_document
from pipeline.config import load_config
from pipeline.document import lineage_document
from pipeline.store.conditions import Wanted
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.search import search

HOPTRAIL = [sys.executable, "-m", "pipeline"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HOPTRAIL_")}
LINES, ENTRIES = 1500, 1544
"""Of the corpus."""
LEFT = ("stored", "event", "duplicate", "dead_letter", "dropped", "pending")


@dataclass
class Process:
    """An ingest or a join process."""

    role: str
    data_dir: Path
    popen: subprocess.Popen[bytes]
    log: Path
    addresses: Mapping[str, Any] = field(default_factory=dict)

    def wait_ready(self, within_s: float = 60.0) -> Process:
        """Wait for the `server.json` of this very process."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                server = json.loads((self.data_dir / "server.json").read_text(encoding="utf-8"))
                if server["pid"] == self.popen.pid:
                    self.addresses = server
                    return self
            assert self.popen.poll() is None, self.log.read_text(errors="replace")[-5000:]
            time.sleep(0.05)  # between two looks, not instead of one
        raise AssertionError(self.log.read_text(errors="replace")[-5000:])

    def send(self, *lines: bytes) -> None:
        """Send lines as datagrams."""
        host, _, port = self.addresses["syslog_udp"].rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for line in lines:
                sender.sendto(line + b"\n", (host, int(port)))

    def post(self, body: bytes) -> int:
        """Post a body as Kong does; gives the status, 0 where there is no answer."""
        try:
            return httpx.post(
                self.addresses["ingest_url"] + "/ingest/kong", content=body, trust_env=False, timeout=30,
                headers={"content-type": "application/json"},
            ).status_code  # fmt: skip
        except httpx.HTTPError:
            return 0

    def insist(self, body: bytes, within_s: float = 60.0) -> int:
        """Post again and again until it is taken, as Kong does; gives how often it was not."""
        refused, deadline = 0, time.monotonic() + within_s
        while self.post(body) != 200:
            refused += 1
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")[-3000:]
            time.sleep(0.1)  # Kong rests between two tries too
        return refused

    def get(self, path: str) -> httpx.Response:
        """Ask its HTTP listener."""
        return httpx.get(self.addresses["ingest_url"] + path, trust_env=False, timeout=30)

    def status(self) -> dict[str, Any]:
        """Give the status document."""
        return dict(self.get("/status").json())

    def metric(self, name: str) -> float:
        """Give the value of a metric that has one."""
        (value,) = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", self.get("/metrics").text, re.MULTILINE)
        return float(value)

    def gone(self) -> dict[str, int]:
        """Give how many messages a join process says were gone before they were read, by source."""
        lines = re.findall(
            r"^hoptrail_kafka_messages_gone_total\{(.*)\} (\S+)$", self.get("/metrics").text, re.MULTILINE
        )
        found = {}
        for labels, count in lines:
            told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            assert told["reason"] == "retention"
            found[told["source"]] = int(float(count))
        return found

    def partitions(self) -> set[str]:
        """Give the numbers of the partitions that a join process has."""
        return set(self.status()["bus"]["partitions"])

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        self.popen.kill()
        self.popen.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def stop(self) -> int:
        """Ask it to stop, as systemd does; gives the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(60)


@dataclass
class World:
    """Two topics of a cluster, a store, and the processes between them."""

    directory: Path
    store: str
    settings: dict[str, Any]
    processes: list[Process] = field(default_factory=list)

    def config(self, name: str = "hoptrail", **more: Any) -> Path:
        """Write a configuration; dotted names with `__` for the dots are put over the common one."""
        tree = json.loads(json.dumps(self.settings))
        for dotted, value in more.items():
            *sections, key = dotted.split("__")
            place = tree
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = value
        file = self.directory / f"{name}.yaml"
        file.write_text(json.dumps(tree), encoding="utf-8")
        return file

    def start(self, role: str, data_dir: Path | None = None, *, ready: bool = True, **more: Any) -> Process:
        """Start a process."""
        number = len(self.processes)
        data_dir = data_dir or self.directory / f"{role}-{number}"
        config = self.config(f"{role}-{number}", data_dir=str(data_dir), **more)
        path = self.directory / f"{role}-{number}.log"
        with path.open("ab") as log:
            popen = subprocess.Popen(
                [*HOPTRAIL, role, "--config", str(config)], stdout=log, stderr=log, env=ENVIRONMENT
            )
        process = Process(role, data_dir, popen, path)
        self.processes.append(process)
        return process.wait_ready() if ready else process

    def command(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Hoptrail's to its end."""
        done = subprocess.run(
            [*HOPTRAIL, *map(str, words)], capture_output=True, text=True, env=ENVIRONMENT, check=False, timeout=120
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done

    def standing(self) -> dict[str, Any]:
        """Give the account over all processes."""
        config = load_config(self.config(), environ={})
        return standing_document(asyncio.run(read_standing(config.bus)))

    def wait(self, is_so: Callable[[dict[str, Any]], bool], within_s: float = 60.0) -> dict[str, Any]:
        """Wait until the account over all processes is as wanted, everything is committed, and it adds up."""
        deadline = time.monotonic() + within_s
        while True:
            standing = self.standing()
            behind = sum(map(sum, standing["lag_messages"].values()))
            rows = standing["sources"]
            assert all(row["received"] == sum(row[name] for name in LEFT) for row in rows.values()), rows
            if not behind and is_so(rows):
                return rows
            assert time.monotonic() < deadline, (standing, self.logs())
            time.sleep(0.1)  # between two questions, not instead of one

    def check_whole(self, *, doubles: bool = False, lines: int = LINES) -> dict[str, Any]:
        """The corpus is stored, once; `doubles`: a producer may have sent records twice, which the account says."""
        rows = self.wait(
            lambda rows: rows["haproxy"]["stored"] >= lines and rows["kong"]["stored"] >= ENTRIES
        )
        assert rows["haproxy"]["stored"] == lines
        assert rows["kong"]["stored"] == ENTRIES
        if not doubles:
            assert rows["haproxy"]["received"] == lines
            assert rows["kong"]["received"] == ENTRIES
        lineages = self.lineages()
        assert len(lineages) == len({one["request_id"] for one in lineages}) == LINES
        assert {one["outcome"] for one in lineages} == {"complete"}
        assert sum(len(one["attempts"]) for one in lineages) == ENTRIES
        return rows

    def until(self, is_so: Callable[[], bool], what: str, within_s: float = 60.0) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < deadline, (what, self.logs())
            time.sleep(0.05)  # between two looks, not instead of one

    def lineages(self) -> list[dict[str, Any]]:
        """Give every lineage that the store shows."""
        connection = connect(parse_dsn(self.store))
        try:
            return [lineage_document(row) for row in search(connection.client, Wanted())]
        finally:
            connection.close()

    def logs(self) -> str:
        """Give the ends of all processes' logs, for a failure."""
        return "\n".join(
            f"--- {each.log.name}\n{each.log.read_text(errors='replace')[-1500:]}" for each in self.processes
        )

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            if process.popen.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    process.popen.send_signal(signal.SIGCONT)
                process.kill()
