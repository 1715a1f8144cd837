"""The ledger of the real process: it says what the account says, whatever kills it, and names what never came."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Command = Callable[..., subprocess.CompletedProcess[str]]
Serve = Callable[..., Any]

KINDS = ("received", "stored", "event", "duplicate", "dead_letter", "dropped")


def _ledger(command: Command, data_dir: Path, *words: str, check: bool = True) -> dict[str, Any]:
    done = command("ledger", "--data-dir", data_dir, "--since", "2h", "-o", "json", *words, check=check)
    return dict(json.loads(done.stdout))


def _line(counter: int, *, pid: int, frontend: str = "public", error: bool = False) -> bytes:
    """Write a line as the recommended format has it: a request that the edge denied, or a failed connection."""
    now_us = time.time_ns() // 1000
    shared = {"pid": pid, "rt": counter, "lc": counter, "acc": f"{now_us / 1e6:.3f}", "end_us": str(now_us)}
    shared |= {"ci": "127.0.0.1", "cp": 40_000 + counter, "fe": frontend, "host": "", "node": "edge-1"}
    if error:
        body: dict[str, Any] = {
            "v": "hap-err/1",
            **shared,
            "st": 0,
            "ts": "PR--",
            "ferr": "SSL handshake failure",
        }
    else:
        own = {
            "id": f"{frontend}-{pid}-{counter:06}-a1b2c3d4",
            "st": 403,
            "ts": "PR--",
            "m": "GET",
            "path": "/x",
        }
        body = {"v": "hap-req/1", **own, **shared, "be": frontend, "rc": "0"}
    header = f"<134>1 2026-11-24T12:00:00.000000+00:00 edge-1 haproxy {pid} - - "
    return header.encode() + json.dumps(body).encode()


def _arrive(process: Any, lines: Iterable[bytes], total: int) -> None:
    process.send(*lines)
    process.wait_for(
        lambda status: (
            status["sources"]["haproxy"]["received"] >= total and status["sources"]["haproxy"]["pending"] == 0
        )
    )


def test_after_kills_in_the_middle_the_ledger_says_what_the_account_says_and_the_store_holds_it(
    serve: Serve, command: Command, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    process, sent = serve(), 0
    for life, first in enumerate(range(0, 1200, 300), 1):
        bodies = kong_bodies[first : first + 300]
        process.send(*haproxy_lines[first : first + 300], b"what no HAProxy writes")
        assert process.post(b"[" + b",".join((*bodies, bodies[0], b'{"no": "request"}')) + b"]") == 200
        sent += 301
        process.wait_for(lambda status: status["sources"]["haproxy"]["received"] >= sent)  # noqa: B023 -- asked at once
        time.sleep(0.04 * life)  # the moment of the kill, wherever it finds the process
        process.kill()
        process = serve(process.data_dir)
    assert process.post(b"[" + b",".join(kong_bodies[1200:]) + b"]") == 200
    process.wait_for(lambda status: all(row["pending"] == 0 for row in status["sources"].values()))
    assert process.stop() == 0
    account = json.loads(command("status", "--data-dir", process.data_dir, "-o", "json").stdout)["sources"]
    ledger = _ledger(command, process.data_dir, "--check")
    assert ledger["reconciles"]
    for source, row in account.items():
        said = ledger["sources"][source]
        assert {kind: said[kind] for kind in KINDS} == {kind: row[kind] for kind in KINDS}
        assert said["dead_letter_reasons"] == row["dead_letter_reasons"]
        assert said["pending_after"] == said["difference"] == 0
    assert ledger["sources"]["kong"]["duplicate"] > 0
    assert account["haproxy"]["dead_letter"] == 4
    kept = {one["kind"]: one["found"] for one in ledger["kept"]}
    assert kept["stored"] == sum(row["stored"] for row in account.values())
    assert kept["dead_letter"] == sum(row["dead_letter"] for row in account.values())


def test_lines_that_never_came_are_named_and_restarts_and_reloads_are_not(
    serve: Serve, command: Command
) -> None:
    process = serve()
    lost = {40, 41, 42}
    came = [_line(counter, pid=77) for counter in range(90) if counter not in lost]
    came += [_line(counter, pid=78) for counter in range(5)]  # a reload: two processes at once
    came += [_line(90, pid=77, error=True), _line(91, pid=77)]
    _arrive(process, came, len(came))
    deadline = time.monotonic() + 60
    while "received" not in command("ledger", "--data-dir", process.data_dir).stdout:  # through the read door
        assert time.monotonic() < deadline
    assert process.stop() == 0
    of_old = ("ledger", "--data-dir", process.data_dir, "--since", "2001-01-01", "--until", "2001-01-02")
    assert command(*of_old).returncode == 0
    assert command(*of_old, "--check", check=False).returncode == 1, "there is nothing that could be right"
    done = command("ledger", "--data-dir", process.data_dir, "--check", "-o", "json", check=False)
    assert done.returncode == 1
    ledger = json.loads(done.stdout)
    assert ledger["reconciles"]
    edge = ledger["edge_lines"]
    assert (edge["missing"], edge["with_counter"], edge["without_counter"]) == (3, len(came), 0)
    (gap,) = edge["gaps"]
    assert (gap["node"], gap["pid"], gap["frontend"]) == ("edge-1", 77, "public")
    assert (gap["after_counter"], gap["before_counter"], gap["missing"]) == (39, 43, 3)
    assert any("3 lines at edge-1 pid 77 frontend public" in sentence for sentence in ledger["statement"])


def test_what_comes_late_closes_the_gap(serve: Serve, command: Command) -> None:
    process = serve()
    lines = [_line(counter, pid=77) for counter in range(50)]
    _arrive(process, lines[:20] + lines[25:], 45)
    assert process.stop() == 0
    assert _ledger(command, process.data_dir)["edge_lines"]["missing"] == 5
    process = serve(process.data_dir)
    _arrive(process, lines[20:25], 50)
    assert process.stop() == 0
    assert _ledger(command, process.data_dir, "--check")["edge_lines"]["missing"] == 0


def test_a_minute_by_minute_account_is_csv(
    serve: Serve, command: Command, haproxy_lines: list[bytes]
) -> None:
    process = serve(window_s=1)
    _arrive(process, haproxy_lines[:100], 100)
    assert process.stop() == 0
    done = command("ledger", "--data-dir", process.data_dir, "-o", "csv")
    head, *rows = done.stdout.splitlines()
    assert head.startswith("minute,source,received,parsed,stored,event,duplicate,dead_letter,dropped,pending")
    assert sum(int(row.split(",")[2]) for row in rows if row.split(",")[1] == "haproxy") == 100
