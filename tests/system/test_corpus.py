"""1500 real requests of a real HAProxy and a real Kong, and what their clients saw.

1460 have one gateway attempt, 36 two, 4 three; 45 entries also hold an id that the client made up.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

Command = Callable[..., subprocess.CompletedProcess[str]]
LOG_FORMAT = (
    "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs "
    "%{+Q}r %ID"
)
WHOLE = {"complete": 1500, "edge_only": 0, "gateway_only": 0}


@pytest.fixture
def files(tmp_path: Path, haproxy_lines: list[bytes], kong_bodies: list[bytes]) -> tuple[Path, Path]:
    return _write(tmp_path, haproxy_lines, kong_bodies)


def _write(folder: Path, lines: list[bytes], bodies: list[bytes], name: str = "corpus") -> tuple[Path, Path]:
    haproxy, kong = folder / f"{name}.haproxy.log", folder / f"{name}.kong.jsonl"
    haproxy.write_bytes(b"".join(line + b"\n" for line in lines))
    kong.write_bytes(b"".join(body + b"\n" for body in bodies))
    return haproxy, kong


def _replay(
    command: Command, store: Path, *, haproxy: Path | None = None, kong: Path | None = None
) -> dict[str, Any]:
    sides: list[str | Path] = []
    if haproxy:
        sides += ["--haproxy", haproxy]
    if kong:
        sides += ["--kong", kong]
    done = command("replay", *sides, "--log-format", LOG_FORMAT, "--store", f"chdb://{store}", "-o", "json")
    account: dict[str, Any] = json.loads(done.stdout)
    for row in account["sources"].values():
        left = ("stored", "event", "duplicate", "dead_letter", "dropped", "pending")
        assert row["received"] == sum(row[name] for name in left)
        assert row["dead_letter"] == row["dropped"] == row["pending"] == 0
    return account


def _lineages(command: Command, store: Path) -> list[dict[str, Any]]:
    done = command("search", "--store", f"chdb://{store}", "--limit", "5000", "-o", "jsonl")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_request_is_one_complete_lineage_with_the_clients_status(
    command: Command, files: tuple[Path, Path], tmp_path: Path, truth: list[dict[str, Any]]
) -> None:
    haproxy, kong = files
    account = _replay(command, tmp_path / "store", haproxy=haproxy, kong=kong)
    assert account["lineages"] == WHOLE
    assert account["attempts"] == 1544
    assert account["sources"]["haproxy"]["stored"] == 1500
    assert account["sources"]["kong"]["stored"] == 1544
    lineages = _lineages(command, tmp_path / "store")
    assert Counter(len(one["attempts"]) for one in lineages) == {1: 1460, 2: 36, 3: 4}
    assert sum("spoofed_request_id" in one["flags"] for one in lineages) == 45
    found = {
        one["path"] + (f"?{one['query']}" if one["query"] else ""): str(one["status"]) for one in lineages
    }
    for seen in truth:
        assert found[seen["target"]] == seen["status"], seen


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_lines_makes_no_difference(
    command: Command, tmp_path: Path, haproxy_lines: list[bytes], kong_bodies: list[bytes], seed: int
) -> None:
    shuffle = random.Random(seed).shuffle
    lines, bodies = list(haproxy_lines), list(kong_bodies)
    shuffle(lines)
    shuffle(bodies)
    haproxy, kong = _write(tmp_path, lines, bodies)
    account = _replay(command, tmp_path / "store", haproxy=haproxy, kong=kong)
    assert (account["lineages"], account["attempts"]) == (WHOLE, 1544)


def test_every_line_sent_twice_is_counted_as_a_duplicate(
    command: Command, tmp_path: Path, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    haproxy, kong = _write(tmp_path, haproxy_lines * 2, kong_bodies * 2)
    account = _replay(command, tmp_path / "store", haproxy=haproxy, kong=kong)
    assert (account["lineages"], account["attempts"]) == (WHOLE, 1544)
    assert account["sources"]["haproxy"]["duplicate"] == 1500
    assert account["sources"]["kong"]["duplicate"] == 1544


@pytest.mark.parametrize("first", ["haproxy", "kong"])
def test_a_side_that_comes_hours_later_completes_the_same_lineages(
    command: Command, files: tuple[Path, Path], tmp_path: Path, first: str
) -> None:
    sides = dict(zip(("haproxy", "kong"), files, strict=True))
    early = _replay(command, tmp_path / "store", **{first: sides.pop(first)})
    assert early["lineages"]["complete"] == 0
    late = _replay(command, tmp_path / "store", **sides)
    assert (late["lineages"], late["attempts"]) == (WHOLE, 1544)
    assert all("late" in one["flags"] for one in _lineages(command, tmp_path / "store"))


def test_attempts_of_one_request_that_lie_further_apart_than_one_side_waits_are_one_lineage(
    command: Command, kong_bodies: list[bytes], tmp_path: Path
) -> None:
    """With Kong's file alone a record waits two seconds; an attempt that began seven later finds the stored row."""
    first = next(entry for entry in map(json.loads, kong_bodies) if isinstance(entry, dict))
    later = json.loads(json.dumps(first))
    later["request"]["id"], later["started_at"] = (
        "0123456789abcdef0123456789abcdef",
        first["started_at"] + 7000,
    )
    between = json.loads(json.dumps(first))
    between["request"]["id"], between["started_at"] = "f" * 31 + "1", first["started_at"] + 4000
    between["request"]["headers"]["x-request-id"] = "another-request-in-between"
    bodies = [json.dumps(one).encode() for one in (first, between, later)]
    account = _replay(command, tmp_path / "store", kong=_write(tmp_path, [], bodies)[1])
    assert account["lineages"] == {"complete": 0, "edge_only": 0, "gateway_only": 2}
    assert sorted(len(one["attempts"]) for one in _lineages(command, tmp_path / "store")) == [1, 2]


def test_the_same_files_again_change_nothing(
    command: Command, files: tuple[Path, Path], tmp_path: Path
) -> None:
    haproxy, kong = files
    _replay(command, tmp_path / "store", haproxy=haproxy, kong=kong)
    again = _replay(command, tmp_path / "store", haproxy=haproxy, kong=kong)
    assert (again["lineages"], again["attempts"]) == (WHOLE, 1544)
    assert again["sources"]["haproxy"]["duplicate"] == 1500


def test_a_replay_that_was_killed_is_made_whole_by_another(
    files: tuple[Path, Path], command: Command, tmp_path: Path
) -> None:
    haproxy, kong = files
    store = tmp_path / "store"
    words = ["replay", "--haproxy", haproxy, "--kong", kong, "--store", f"chdb://{store}"]

    for after_s in (0.7, 0.9, 1.1):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(after_s)  # the moment of the kill, wherever it finds the process
        process.kill()
        process.wait()
    account = _replay(command, store, haproxy=haproxy, kong=kong)
    assert (account["lineages"], account["attempts"]) == (WHOLE, 1544)
    assert len(_lineages(command, store)) == 1500


def test_compressed_files_are_read_as_they_are(
    command: Command, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    haproxy, kong = files
    packed = haproxy.with_suffix(".log.gz"), kong.with_suffix(".jsonl.zst")
    packed[0].write_bytes(gzip.compress(haproxy.read_bytes()))
    packed[1].write_bytes(zstandard.compress(kong.read_bytes()))
    account = _replay(command, tmp_path / "store", haproxy=packed[0], kong=packed[1])
    assert (account["lineages"], account["attempts"]) == (WHOLE, 1544)


def test_without_a_log_format_the_lines_are_told_apart(
    command: Command, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    haproxy, kong = files
    done = command(
        "replay", "--haproxy", haproxy, "--kong", kong, "--store", f"chdb://{tmp_path}/store", "-o", "json"
    )
    assert json.loads(done.stdout)["lineages"] == WHOLE


def test_a_lineage_is_found_by_each_of_its_ids_and_by_a_prefix(
    command: Command, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    _replay(command, tmp_path / "store", haproxy=files[0], kong=files[1])
    store = f"chdb://{tmp_path}/store"
    one = next(one for one in _lineages(command, tmp_path / "store") if len(one["attempts"]) == 3)
    attempt = one["attempts"][0]["gateway_request_id"]
    for text in (one["request_id"], attempt, one["request_id"][:13], attempt[:12]):
        done = command("trace", text, "--store", store, "-o", "json")
        assert json.loads(done.stdout)["request_id"] == one["request_id"]
    missed = command("trace", "no-such-id-anywhere", "--store", store, check=False)
    assert missed.returncode == 1
    assert "no-such-id-anywhere" in missed.stderr
