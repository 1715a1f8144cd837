"""What `hoptrail search` writes, how it ends, and what it says when it is used wrongly."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

Document = dict[str, Any]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]
Test = Callable[[Document], bool]


def test_the_limit_says_when_more_matched(run: Run, data_dir: Path, documents: list[Document]) -> None:
    ran = run("search", "-o", "json", "--data-dir", str(data_dir))
    assert json.loads(ran.out) == documents[:50]
    assert "the newest 50 are shown, more match" in ran.err
    ran = run("search", "-o", "json", "--limit", "7", "--data-dir", str(data_dir))
    assert json.loads(ran.out) == documents[:7]
    ran = run("search", "--limit", str(len(documents)), "-o", "jsonl", "--data-dir", str(data_dir))
    assert ran.err == ""


def test_nothing_found_is_exit_1_and_a_word_on_what_was_searched(run: Run, data_dir: Path) -> None:
    ran = run("search", "--path", "/nowhere", "--status", "5xx", "--data-dir", str(data_dir))
    assert (ran.code, ran.out) == (1, "")
    assert "nothing found in the store in" in ran.err
    assert "--status, --path" in ran.err
    ran = run("search", "--path", "/nowhere", "-o", "json", "--data-dir", str(data_dir))
    assert (ran.code, json.loads(ran.out)) == (1, [])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--status", "teapot"], "--status 'teapot' is no status; write 503, 5xx or '>=400'"),
        (["--since", "yesterday"], "--since 'yesterday' is no time; write 15m"),
        (["--until", "2026-13-01"], "--until '2026-13-01' is no time"),
        (["--client-ip", "localhost"], "--client-ip 'localhost' is no address"),
        (["--outcome", "half"], "known are complete, edge_only, gateway_only"),
        (["--missing", "gone"], "known are pending, denied_at_edge"),
        (["--flag", "odd"], "--flag 'odd' is not known; known are bad_request"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_wrong_usage_names_the_option_and_the_fix(
    run: Run, data_dir: Path, words: list[str], complaint: str
) -> None:
    ran = run("search", *words, "--data-dir", str(data_dir), env={"COLUMNS": "200"})
    assert ran.code == 2
    assert complaint in ran.err


def _widths(text: str) -> Iterator[int]:
    return (len(line) for line in text.splitlines())


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_the_table_fits_the_terminal(run: Run, data_dir: Path, width: int) -> None:
    ran = run("search", "--limit", "500", "--data-dir", str(data_dir), env={"COLUMNS": str(width)})
    assert ran.code == 0
    assert max(_widths(ran.out)) <= width
    assert len(ran.out.splitlines()) == 501
    assert all(char.isprintable() or char == "\n" for char in ran.out)


def test_the_table_holds_whole_ids_where_a_program_reads_it(
    run: Run, data_dir: Path, documents: list[Document]
) -> None:
    out = run("search", "--limit", "300", "--data-dir", str(data_dir)).out
    assert all(one["request_id"] in out for one in documents[:300] if one["request_id"])


def test_short_ids_of_the_table_find_their_lineage(run: Run, data_dir: Path) -> None:
    out = run(
        "search", "--limit", "10", "--path", "/open", "--data-dir", str(data_dir), env={"COLUMNS": "80"}
    ).out
    for line in out.splitlines()[1:]:
        assert run("trace", line.split()[-1], "--data-dir", str(data_dir)).code == 0


def test_csv_has_one_shape_and_no_formulas(run: Run, data_dir: Path, documents: list[Document]) -> None:
    out = run("search", "--limit", "100000", "-o", "csv", "--data-dir", str(data_dir)).out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(documents)
    for row, document in zip(rows, documents, strict=True):
        assert None not in row
        assert row["start_time"] == document["start_time"]
        if document["edge"]:
            assert row["edge.termination"] == (document["edge"]["termination"] or "")
        assert not any(value.startswith(("=", "+", "@", "\t", "\r")) for value in row.values())


def test_a_pipe_that_closes_early_ends_the_command_quietly(data_dir: Path) -> None:
    program = "from pipeline.cli import main; main()"
    for output in ("jsonl", "csv", "table", "json"):
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                program,
                "search",
                "--limit",
                "100000",
                "-o",
                output,
                "--data-dir",
                str(data_dir),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        complaint = process.stderr.read()
        process.stderr.close()
        assert process.wait(60) == 0, complaint
        assert b"Traceback" not in complaint
