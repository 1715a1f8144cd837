"""`hoptrail report access` on the captured corpus, beside a running server and on its store alone."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
PERIOD = ("--from", "2026-11-23T00:00:00Z", "--to", "2026-11-24T00:00:00Z")


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> str:
    """Replay the corpus; gives the store's DSN."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "edge.log").write_bytes(b"\n".join(haproxy_lines) + b"\n")
    (folder / "kong.jsonl").write_bytes(b"\n".join(kong_bodies) + b"\n")
    dsn = f"chdb://{folder}/store"
    words = [
        sys.executable,
        "-m",
        "pipeline",
        "replay",
        "--haproxy",
        "edge.log",
        "--kong",
        "kong.jsonl",
        "--store",
        dsn,
    ]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return dsn


def _report(command: Command, out: Path, *words: str) -> dict[str, Any]:
    done = command("report", "access", *PERIOD, "--out", out, *words, check=False)
    assert done.returncode in (0, 1), done.stderr
    return dict(json.loads(out.with_name(out.name + ".manifest.json").read_text()))


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_every_request_of_the_period_is_in_it_with_the_status_that_the_client_got(
    command: Command, store: str, truth: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "all.csv"
    manifest = _report(command, file, "--store", store)
    rows = _rows(file)
    assert len(rows) == manifest["rows"] == len(truth)
    assert Counter(row["status"] for row in rows) == Counter(one["status"] for one in truth)
    assert manifest["counts"]["status"] == Counter(one["status"] for one in truth)
    assert [row["start_time"] for row in rows] == sorted(row["start_time"] for row in rows)
    assert {row["identity_kind"] for row in rows} >= {"consumer", "none"}
    (facts,) = manifest["files"]
    assert facts["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["period"]["bounds"] == "[from, to)"


def test_one_identity_is_theirs_alone_and_failed_requests_are_among_them(
    command: Command, store: str, tmp_path: Path
) -> None:
    _report(command, tmp_path / "all.csv", "--store", store)
    everything = _rows(tmp_path / "all.csv")
    busiest, _ = Counter(row["consumer_name"] for row in everything if row["consumer_name"]).most_common(1)[0]
    manifest = _report(command, tmp_path / "one.csv", "--store", store, "--identity", busiest)
    rows = _rows(tmp_path / "one.csv")
    assert rows == [row for row in everything if row["consumer_name"] == busiest]
    assert manifest["filters"] == {"identity": [busiest]}
    assert manifest["query"]["parameters"]


def test_a_period_holds_its_begin_and_not_its_end(command: Command, store: str, tmp_path: Path) -> None:
    _report(command, tmp_path / "all.csv", "--store", store)
    starts = [row["start_time"] for row in _rows(tmp_path / "all.csv")]
    half = starts[len(starts) // 2]
    for name, bounds in (("a.csv", (starts[0], half)), ("b.csv", (half, "2026-11-24T00:00:00Z"))):
        command(
            "report", "access", "--from", bounds[0], "--to", bounds[1], "--out", tmp_path / name, "--store", store,
            check=False,
        )  # fmt: skip
    early, late = _rows(tmp_path / "a.csv"), _rows(tmp_path / "b.csv")
    assert [row["start_time"] for row in early + late] == starts
    assert all(row["start_time"] < half <= late[0]["start_time"] for row in early)


def test_json_lines_hold_what_search_gives(command: Command, store: str, tmp_path: Path) -> None:
    _report(command, tmp_path / "all.jsonl", "--store", store, "-o", "jsonl")
    reported = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    found = command("search", "--store", store, "--limit", "5000", "-o", "jsonl").stdout.splitlines()
    by_id = {one["request_id"]: one for one in map(json.loads, found)}
    assert {one["request_id"]: one for one in reported} == by_id


def test_beside_a_running_server_it_goes_through_the_door_and_lost_lines_make_it_incomplete(
    command: Command,
    serve: Callable[..., Any],
    haproxy_lines: list[bytes],
    kong_bodies: list[bytes],
    tmp_path: Path,
) -> None:
    process = serve(window_s=1)
    process.send(*haproxy_lines[:300])
    assert process.post(b"[" + b",".join(kong_bodies[:200]) + b"]") == 200
    process.wait_for(
        lambda status: status["join"]["pending"] == 0 and status["sources"]["kong"]["stored"] == 200
    )
    process.wait_for(lambda status: status["sources"]["haproxy"]["pending"] == 0)
    manifest = _report(command, tmp_path / "r.csv", "--data-dir", str(process.data_dir))
    assert manifest["rows"] == 300 + manifest["counts"]["outcome"].get("gateway_only", 0)
    assert manifest["completeness"]["state"] == "incomplete"
    assert any("lack a half" in reason for reason in manifest["completeness"]["because"])


def test_a_report_made_again_has_the_same_bytes_and_a_flipped_one_is_told(
    command: Command, store: str, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("one.csv", "two.csv")]
    for file in files:
        _report(command, file, "--store", store)
    assert files[0].read_bytes() == files[1].read_bytes()
    manifest = tmp_path / "one.csv.manifest.json"
    assert command("report", "verify", manifest).returncode == 0
    changed = bytearray(files[0].read_bytes())
    changed[len(changed) // 2] ^= 1
    files[0].write_bytes(changed)
    done = command("report", "verify", manifest, check=False)
    assert done.returncode == 1
    assert "has been changed" in done.stderr


def test_it_writes_over_nothing_unless_told(command: Command, store: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("mine")
    done = command("report", "access", *PERIOD, "--store", store, "--out", tmp_path / "r.csv", check=False)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert (tmp_path / "r.csv").read_text() == "mine"


@pytest.mark.parametrize("out", ["", "."])
def test_a_directory_is_no_file_to_write_to(command: Command, store: str, out: str) -> None:
    done = command("report", "access", *PERIOD, "--store", store, "--force", "--out", out, check=False)
    assert done.returncode == 2
    assert "is a directory" in done.stderr


def test_a_period_that_ends_before_it_begins_is_refused(command: Command, store: str) -> None:
    done = command(
        "report", "access", "--from", "2026-11-24", "--to", "2026-11-23", "--store", store, check=False
    )
    assert done.returncode == 2
    assert "--from must be before --to" in done.stderr
