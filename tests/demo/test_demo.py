"""`hoptrail demo` as a person starts it: to its own end, without a terminal."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.demo.gateway import SERVER
from pipeline.demo.haproxy_process import find_haproxy
from pipeline.demo.serve_process import COMMAND

LONGEST_S = 60


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "demo", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def processes_of(directory: str) -> list[str]:
    """Give the command lines that name a directory."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if directory in words:
            found.append(words)
    return found


@pytest.fixture(params=["stand-in", pytest.param("haproxy", marks=pytest.mark.haproxy)])
def edge(request: pytest.FixtureRequest) -> str:
    if request.param == "haproxy" and find_haproxy() is None:
        pytest.skip("there is no haproxy binary on the PATH or in /usr/sbin")
    return str(request.param)


def test_it_shows_a_lineage_says_what_to_try_and_ends_by_itself(edge: str) -> None:
    began = time.monotonic()
    found = demo("--seconds", "5", *(["--no-real-haproxy"] if edge == "stand-in" else []))
    assert found.returncode == 0, found.stdout + found.stderr
    assert time.monotonic() - began < LONGEST_S
    assert SERVER in found.stdout
    assert ("stand-in edge, not HAProxy" in found.stdout) == (edge == "stand-in")
    traced = re.findall(r"hoptrail trace ([0-9a-f-]{36}) --data-dir (\S+)", found.stdout)
    assert len({request_id for request_id, _ in traced}) == 2
    assert found.stdout.count("attempt") >= 3, "the tree of a request with three attempts"
    for words in ("search --status 5xx", "--consumer acme --status 429", "hoptrail status", "curl -s"):
        assert words in found.stdout
    assert re.search(r"OK: \d+ edge lines and \d+ gateway entries received, all accounted for", found.stdout)
    directory = traced[0][1]
    assert not Path(directory).exists()
    assert processes_of(directory) == []
    port = int(re.findall(r"edge +http://127\.0\.0\.1:(\d+)", found.stdout)[0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_with_a_directory_it_stays_and_can_be_read_afterwards(tmp_path: Path) -> None:
    data_dir = tmp_path / "kept"
    found = demo("--no-real-haproxy", "--seconds", "0", "--data-dir", str(data_dir))
    assert found.returncode == 0, found.stdout + found.stderr
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert not (data_dir / "server.json").exists()
    request_id = re.findall(r"trace ([0-9a-f-]{36})", found.stdout)[0]
    trace = subprocess.run(
        [*COMMAND, "trace", request_id, "--data-dir", str(data_dir), "-o", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert trace.returncode == 0, trace.stderr
    assert request_id in trace.stdout


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)  # noqa: S602 -- as a person would


def what_the_commands_say(said: str) -> dict[str, str]:
    """Run every command that the demo tells to try; each must end well."""
    commands = [line.strip() for line in said.partition("To try while")[2].splitlines()]
    answers = {}
    for command in commands:
        if "--data-dir" in command or (command.startswith("curl ") and shutil.which("curl")):
            found = shell(command)
            assert found.returncode == 0, f"{command}: {found.stdout}{found.stderr}"
            answers[command] = found.stdout
    return answers


def until_line(words: str, number: signal.Signals, act: Callable[[str], None]) -> str:
    """Run a demo, act and send a signal when it says some words; gives all that it said, to a clean end."""
    process = subprocess.Popen(
        [*COMMAND, "demo", "--no-real-haproxy", "--seconds", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    said = ""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            said += line
            if words in line:
                act(said)
                process.send_signal(number)
    assert process.wait(timeout=30) == 0, said
    assert said.splitlines()[-1].endswith("stopped cleanly."), said
    directory = next(word for word in said.split() if "hoptrail-demo-" in word)
    assert processes_of(directory) == []
    assert not Path(directory).exists()
    return said


def test_its_commands_work_while_it_runs_and_an_interrupt_stops_it_cleanly() -> None:
    answers: dict[str, str] = {}
    until_line("600 s more", signal.SIGINT, lambda said: answers.update(what_the_commands_say(said)))
    assert len(answers) >= 5
    told = "\n".join(answers.values())
    for words in ("attempt 3", "spoofed_request_id", "504", "429", "pending"):
        assert words in told, words
    assert shutil.which("curl") is None or "gateway_log_lost" in told


def test_a_signal_before_the_tour_stops_it_cleanly_without_one() -> None:
    said = until_line("requests of the last", signal.SIGTERM, lambda _: None)
    assert "hoptrail trace" not in said


def test_a_server_that_cannot_start_is_named_and_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a directory", encoding="utf-8")
    found = demo("--no-real-haproxy", "--seconds", "0", "--data-dir", str(tmp_path / "data"))
    assert found.returncode == 2
    assert "data_dir" in found.stderr
    assert "Traceback" not in found.stderr
    assert processes_of(str(tmp_path)) == []
