"""`hoptrail status`: of a process that runs, of what a stopped one left, of a store alone."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CAPTURES = Path(__file__).resolve().parents[1] / "captures" / "kong" / "corpus"
WAYS_OUT = ("stored", "event", "duplicate", "dead_letter", "dropped", "pending")
WAIT_S = 60


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


class Serving(NamedTuple):
    directory: Path
    stop: Callable[[], None]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """Give a real process that serves an empty data directory."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("serving.py")), str(tmp_path / "data")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        def stop() -> None:
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(WAIT_S) == 0

        yield Serving(tmp_path / "data", stop)
        if process.poll() is None:
            stop()


def send_one_pair_and_two_odd_lines(directory: Path) -> None:
    """Send a request's two halves, a line that will never parse and one that is no request."""
    server = json.loads((directory / "server.json").read_text(encoding="utf-8"))
    post = json.loads((CAPTURES / "kong.jsonl").read_text(encoding="utf-8").splitlines()[0])
    connection = http.client.HTTPConnection(server["ingest_url"].removeprefix("http://"), timeout=WAIT_S)
    connection.request("POST", "/ingest/kong", post["body"], {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    line = (CAPTURES / "haproxy.log").read_bytes().splitlines()[0]
    host, port = server["syslog_udp"].rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in (
            line,
            b"<134>never a log line",
            b"<134>Nov 23 18:57:23 haproxy[1]: Proxy fe started.",
        ):
            sender.sendto(datagram, (host, int(port)))


def wait_for(run: Run, directory: Path, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while True:
        ran = run("status", "--data-dir", str(directory), "-o", "json")
        assert ran.code == 0, ran.err
        document: dict[str, Any] = json.loads(ran.out)
        if is_so(document) or time.monotonic() > deadline:
            return document


def _is_all_stored(document: dict[str, Any]) -> bool:
    sources = document["sources"]
    return (
        sources["haproxy"]["stored"] + sources["kong"]["stored"] == 2 and sources["haproxy"]["pending"] == 0
    )


def test_a_running_process_tells_where_every_record_is_and_a_stopped_one_left_the_same(
    run: Run, serving: Serving
) -> None:
    send_one_pair_and_two_odd_lines(serving.directory)
    document = wait_for(
        run,
        serving.directory,
        lambda one: all(row["received"] - row["pending"] for row in one["sources"].values()),
    )
    assert document["running"] is True
    haproxy, kong = document["sources"]["haproxy"], document["sources"]["kong"]
    assert (haproxy["received"], kong["received"]) == (3, 1)
    assert (haproxy["stored"], kong["stored"]) == (1, 1)
    for row in (haproxy, kong):
        assert row["received"] == sum(row[way] for way in WAYS_OUT)
    drawn = run("status", "--data-dir", str(serving.directory), env={"COLUMNS": "80"})
    assert "it adds up" in drawn.out
    assert "reading is up to date" in drawn.out
    assert "lineage rows 1" in drawn.out
    assert max(map(len, drawn.out.splitlines())) <= 80
    serving.stop()

    left = json.loads(run("status", "--data-dir", str(serving.directory), "-o", "json").out)
    assert left["running"] is False
    assert left["store"]["rows"]["lineage_rows"] == 1
    for name, row in left["sources"].items():
        assert row["received"] == document["sources"][name]["received"]
        assert row["received"] == sum(row[way] for way in WAYS_OUT)
    drawn = run("status", "--data-dir", str(serving.directory))
    assert drawn.out.startswith("not running; what ")


def test_a_store_alone_is_described_without_a_process(run: Run, data_dir: Path, stored: list[Any]) -> None:
    ran = run("status", "--store", f"chdb://{data_dir}/store", "-o", "json")
    document = json.loads(ran.out)
    assert list(document) == ["store"]
    assert document["store"]["rows"]["lineage_rows"] >= len(stored)
    assert document["store"]["bytes_on_disk"] > 10_000
    drawn = run("status", "--store", f"chdb://{data_dir}/store", env={"COLUMNS": "200"})
    assert "lineage rows" in drawn.out
    assert "from 2026-11-23 18:00:00" in drawn.out


def test_a_directory_without_anything_is_exit_2_and_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    ran = run("status", "--data-dir", str(tmp_path / "none"))
    assert ran.code == 2
    assert "there is no store in" in ran.err
    assert not (tmp_path / "none").exists()


def test_a_process_that_does_not_answer_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(
        json.dumps({"pid": os.getpid(), "ingest_url": "http://127.0.0.1:9"}), encoding="utf-8"
    )
    ran = run("status", "--data-dir", str(tmp_path))
    assert ran.code == 2
    assert f"the process {os.getpid()} at 127.0.0.1:9 does not answer" in ran.err
