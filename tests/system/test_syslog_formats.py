"""The real HAProxy, each of its eight log formats over each of its transports, into the real process."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.demo.haproxy_process import find_haproxy

pytestmark = [
    pytest.mark.haproxy,
    pytest.mark.skipif(find_haproxy() is None, reason="needs the haproxy binary; `make test` installs it"),
]

Command = Callable[..., subprocess.CompletedProcess[str]]
FORMATS = ("local", "rfc3164", "rfc5424", "priority", "short", "timed", "iso", "raw")
TRANSPORTS = ("udp", "unix", "octet", "legacy")
FRONTENDS = [(format_, transport) for format_ in FORMATS for transport in TRANSPORTS]
HTTPLOG = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %ID"


def _rings(tcp: str) -> Iterator[str]:
    for transport in ("octet", "legacy"):
        protocol = "octet-count" if transport == "octet" else "legacy"
        for format_ in FORMATS:
            yield f"ring {transport}_{format_}"
            yield f"  format {format_}"
            yield "  maxlen 8000"
            yield "  size 65536"
            yield "  timeout connect 5s"
            yield "  timeout server 10s"
            yield f"  server s {tcp} log-proto {protocol}"


def _configuration(listeners: dict[tuple[str, str], socket.socket], udp: str, tcp: str, unix: str) -> str:
    text = ["global", "  log-tag haproxy", *_rings(tcp)]
    text += ["defaults", "  mode http", "  timeout client 5s", "  timeout server 5s", "  timeout connect 5s"]
    targets = {"udp": udp, "unix": unix}
    for (format_, transport), listener in listeners.items():
        target = targets.get(transport) or f"ring@{transport}_{format_}"
        text += [
            f"frontend {format_}_{transport}", f"  bind fd@{listener.fileno()}",
            f"  log {target} len 8000 format {format_} local0", "  unique-id-format %[uuid()]",
            "  http-request return status 204", f"  log-format '{HTTPLOG}'",
        ]  # fmt: skip
    return "\n".join(text) + "\n"


def _ask(listener: socket.socket, path: str) -> None:
    with closing(socket.create_connection(listener.getsockname(), timeout=10)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        while client.recv(4096):
            pass


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """Give a directory whose name leaves room for a unix socket's."""
    with tempfile.TemporaryDirectory(prefix="hop") as name:
        yield Path(name)


def test_a_request_comes_in_by_every_format_and_transport(
    serve: Callable[..., Any], command: Command, tmp_path: Path, short_directory: Path
) -> None:
    unix = short_directory / "log"
    syslog = {"udp": "127.0.0.1:0", "tcp": "127.0.0.1:0", "unix": str(unix)}
    process = serve(window_s=1, sources={"syslog": syslog, "kong": {"listen": "127.0.0.1:0"}})
    addresses = process.addresses
    with ExitStack() as stack:
        listeners = {frontend: stack.enter_context(socket.socket()) for frontend in FRONTENDS}
        for listener in listeners.values():
            listener.bind(("127.0.0.1", 0))
            listener.listen()
        file = tmp_path / "haproxy.cfg"
        file.write_text(
            _configuration(listeners, addresses["syslog_udp"], addresses["syslog_tcp"], str(unix)),
            encoding="utf-8",
        )
        edge = subprocess.Popen(
            [str(find_haproxy()), "-q", "-db", "-f", str(file)],
            pass_fds=[listener.fileno() for listener in listeners.values()],
            env={"PATH": "/usr/bin", "TZ": "UTC"},
        )
        stack.callback(edge.wait, 10)
        stack.callback(edge.terminate)
        for (format_, transport), listener in listeners.items():
            for number in range(2):
                _ask(listener, f"/{format_}/{transport}/{number}")
        process.wait_for(lambda status: status["sources"]["haproxy"]["stored"] >= 2 * len(FRONTENDS))
        found = command("search", "--limit", "200", "-o", "json", "--data-dir", process.data_dir)
        account = process.status()["sources"]["haproxy"]
    rows = json.loads(found.stdout)
    assert {row["path"] for row in rows} == {f"/{f}/{t}/{n}" for f, t in FRONTENDS for n in range(2)}
    assert len({row["request_id"] for row in rows}) == len(rows) == 2 * len(FRONTENDS)
    assert {(row["status"], row["edge"]["termination"], row["missing"]) for row in rows} == {
        (204, "LR--", "answered_at_edge")
    }
    for row in rows:
        assert row["edge"]["frontend"] == "_".join(row["path"].split("/")[1:3])
        has_pid = row["path"].split("/")[1] in {"local", "rfc3164", "rfc5424"}
        assert row["edge"]["pid"] == (edge.pid if has_pid else None)
        assert row["flags"] == []
    assert (account["dead_letter"], account["duplicate"], account["dropped"]) == (0, 0, 0)


def test_a_wrong_time_zone_is_logged_once_with_the_right_setting_and_stands_in_the_status(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    process = serve(window_s=1)
    line = (
        "<134>1 2026-07-01T14:00:0{n}.500000+02:00 h haproxy 7 - - 127.0.0.1:{n} [01/Jul/2026:14:00:0{n}.000] fe be/s "
        '0/0/0/0/500 200 85 - - ---- 1/1/0/0/2 0/0 "GET / HTTP/1.1"'
    )
    for _ in range(10):
        process.send(*(line.replace("{n}", str(number)).encode() for number in range(10)))
    status = process.wait_for(
        lambda status: status["sources"]["haproxy"]["received"] >= 100 and status["warnings"]
    )
    (warning,) = status["warnings"]
    assert "set sources.syslog.time_zone" in warning
    assert "Etc/GMT-2" in warning
    assert process.stop() == 0
    logged = [text for text in (tmp_path / "serve.log").read_text().splitlines() if "time_zone" in text]
    assert len(logged) == 1
    assert "WARNING" in logged[0]
    assert warning in logged[0]
