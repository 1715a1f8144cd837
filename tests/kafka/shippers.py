"""rsyslog and syslog-ng, run in the foreground by whoever runs the tests. Loaded by `conftest.py`.

Each is looked for on the PATH and where `make test` unpacks it; a machine has one system logger, and keeps its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

UNPACKED = Path(sys.prefix) / "debian"
DEPLOY = Path(__file__).parents[2] / "deploy"
_START_S = 30.0


@dataclass(frozen=True)
class Program:
    """A shipper as it is found on this machine."""

    binary: Path
    libraries: Sequence[Path]
    modules: str
    """Directories, as its own option takes them."""


@dataclass
class Shipper:
    """One that runs."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


def find(name: str, package: str, module: str) -> Program | None:
    """Find a shipper with its Kafka module.

    Args:
        name: Of the program.
        package: Of the directory that it is unpacked to.
        module: File of its Kafka module.
    """
    root = UNPACKED / package
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:{root / 'usr' / 'sbin'}"
    binary = shutil.which(name, path=path)
    modules = sorted(
        {file.parent for base in (Path("/usr/lib"), root / "usr" / "lib") for file in base.rglob(module)}
    )
    if binary is None or not modules:
        return None
    libraries = sorted({file.parent for file in root.rglob("lib*.so.*")})
    own = {modules[0], *(each for each in _beside(Path(binary), modules[0].name) if each != modules[0])}
    return Program(Path(binary), libraries, ":".join(map(str, sorted(own))))


def _beside(binary: Path, name: str) -> list[Path]:
    """Give directories of modules of that name in the same tree as a program."""
    return [
        each for each in (binary.parents[1] / "lib").rglob(name) if each.is_dir() and any(each.glob("*.so"))
    ]


def changed(config: Path, changes: Mapping[str, str]) -> str:
    """Give a documented configuration with other addresses and directories, each of which stands in it."""
    text = config.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{config} has no {old}"
        text = text.replace(old, new)
    return text


def start_rsyslog(program: Program, directory: Path, broker: str, topic: str) -> Shipper:
    """Start rsyslogd with `deploy/rsyslog/haproxy-to-kafka.conf`; what a distribution's main file says is put before."""
    port = _free_port()
    own = changed(
        DEPLOY / "rsyslog" / "haproxy-to-kafka.conf",
        {"5140": str(port), "kafka-1:9092": broker, '"haproxy.raw"': f'"{topic}"'},
    )
    config = directory / "rsyslog.conf"
    config.write_text(f'global(workDirectory="{directory}")\n{own}', encoding="utf-8")
    words = ["-n", "-f", str(config), "-i", str(directory / "rsyslog.pid"), "-M", program.modules]
    return _start(program, words, directory / "rsyslog.log", port)


def start_syslog_ng(program: Program, directory: Path, broker: str, topic: str) -> Shipper:
    """Start syslog-ng with `deploy/syslog-ng/haproxy-to-kafka.conf`."""
    port = _free_port()
    config = directory / "syslog-ng.conf"
    config.write_text(
        changed(
            DEPLOY / "syslog-ng" / "haproxy-to-kafka.conf",
            {
                "5140": str(port), "kafka-1:9092": broker, '"haproxy.raw"': f'"{topic}"',
                "/var/lib/syslog-ng": str(directory),
            },
        ),
        encoding="utf-8",
    )  # fmt: skip
    words = [
        "--foreground", "--no-caps", "--stderr", f"--cfgfile={config}", f"--module-path={program.modules}",
        f"--persist-file={directory / 'persist'}", f"--pidfile={directory / 'pid'}", f"--control={directory / 'control'}",
    ]  # fmt: skip
    return _start(program, words, directory / "syslog-ng.log", port)


def _start(program: Program, words: Sequence[str], log: Path, port: int) -> Shipper:
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, program.libraries))}
    with log.open("wb") as out:
        process = subprocess.Popen([str(program.binary), *words], stdout=out, stderr=out, env=environment)
    deadline = time.monotonic() + _START_S
    while not (_listens("tcp", port, "0A") and _listens("udp", port, "07")):
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
        time.sleep(0.05)  # between two looks, not instead of one
    return Shipper(process, port, log)


def _listens(protocol: str, port: int, state: str) -> bool:
    """Whether a socket of that state has the port, as Linux says."""
    lines = Path(f"/proc/net/{protocol}").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    return any(field[1].endswith(f":{port:04X}") and field[3] == state for field in fields)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
