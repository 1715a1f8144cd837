"""`hoptrail trace`: any id finds its lineage, and says so when it does not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.document import lineage_document
from pipeline.model import Lineage


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]
TWIN_ID = "0192f0c1-twin-7000-8000-000000000002"


@pytest.fixture
def retried(stories: dict[str, Lineage]) -> Lineage:
    return stories["retried"]


def test_every_whole_id_finds_its_lineage_however_old(
    run: Run, data_dir: Path, stored: list[Lineage], retried: Lineage
) -> None:
    assert retried.edge is not None
    assert retried.edge.traceparent is not None
    assert retried.trace_id is not None
    ids = [retried.request_id, retried.trace_id, retried.trace_id.upper(), retried.edge.traceparent]
    ids += [attempt.gateway_request_id or "" for attempt in retried.attempts]
    for one in ids:
        ran = run("trace", f" {one} ", "--data-dir", str(data_dir), "-o", "json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out) == lineage_document(retried)
    oldest = min((one for one in stored if one.request_id), key=lambda one: one.bucket_s)
    ran = run("trace", oldest.request_id, "--since", "1s", "--data-dir", str(data_dir), "-o", "json")
    assert json.loads(ran.out) == lineage_document(oldest)


def test_a_gateway_record_without_a_request_id_is_found_by_its_own(
    run: Run, data_dir: Path, stored: list[Lineage]
) -> None:
    bare = next(one for one in stored if one.missing == "bypassed_edge" and not one.request_id)
    gateway_id = bare.attempts[0].gateway_request_id
    ran = run("trace", str(gateway_id), "--data-dir", str(data_dir), "-o", "json")
    assert json.loads(ran.out)["attempts"][0]["gateway_request_id"] == gateway_id


@pytest.mark.parametrize("length", [6, 7, 12, 35])
def test_a_prefix_of_each_id_finds_it(run: Run, data_dir: Path, retried: Lineage, length: int) -> None:
    gateway_id = retried.attempts[2].gateway_request_id or ""
    for one in (retried.request_id, retried.trace_id or "", gateway_id):
        ran = run("trace", one[:length], "--data-dir", str(data_dir), "-o", "json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["request_id"] == retried.request_id


def test_a_prefix_is_looked_for_in_the_newest_data_alone(
    run: Run, data_dir: Path, stored: list[Lineage], retried: Lineage
) -> None:
    newest_s = retried.bucket_s
    old = min((one for one in stored if one.request_id), key=lambda one: one.bucket_s)
    age_s = newest_s - old.bucket_s
    assert age_s >= 3600
    ran = run("trace", old.request_id[:12], "--since", "30m", "--data-dir", str(data_dir))
    assert ran.code == 1
    assert "since 2026-11-23T18:" in ran.err
    ran = run("trace", old.request_id[:12], "--since", f"{age_s + 3600}s", "--data-dir", str(data_dir))
    assert ran.code == 0


def test_an_ambiguous_prefix_lists_the_candidates_and_fails(
    run: Run, data_dir: Path, stored: list[Lineage]
) -> None:
    heads: dict[str, set[str]] = {}
    for one in stored:
        heads.setdefault(one.request_id[:6], set()).add(one.request_id)
    prefix = next((head for head, ids in heads.items() if len(ids) > 1 and len(head) == 6), None)
    prefix = prefix or "0192f0"  # the twins share theirs
    ran = run("trace", prefix, "--data-dir", str(data_dir), "-o", "json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert len(found) > 1
    assert all(one["request_id"].startswith(prefix) for one in found)
    assert f"begins the ids of {len(found)} requests" in ran.err
    table = run("trace", prefix, "--data-dir", str(data_dir))
    assert table.code == 1
    assert all(one["request_id"] in table.out for one in found)


def test_several_lineages_under_one_whole_id_are_an_array_and_no_failure(run: Run, data_dir: Path) -> None:
    ran = run("trace", TWIN_ID, "--data-dir", str(data_dir), "-o", "json")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert [one["request_id"] for one in found] == [TWIN_ID, TWIN_ID]
    assert {one["match"] for one in found} == {"conflict"}
    drawn = run("trace", TWIN_ID, "--data-dir", str(data_dir))
    assert drawn.code == 0
    assert drawn.out.count("in conflict") == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nope", "it would need 6 characters"),
        ("nothing-begins-so", "none begins with it"),
        ("00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01", "is equal to it"),
        ("' OR 1=1 --", "none begins with it"),
        ("{id:String}\t\n\\'", "none begins with it"),
        ("%", "it would need 6 characters"),
    ],
)
def test_nothing_found_is_exit_1_and_a_word_on_what_was_searched(
    run: Run, data_dir: Path, text: str, word: str
) -> None:
    ran = run("trace", "-o", "json", "--data-dir", str(data_dir), "--", text)
    assert (ran.code, ran.out) == (1, "")
    assert "no request id, gateway request id or trace id is equal to it" in ran.err
    assert word in ran.err


def test_the_drawing_is_plain_where_nobody_looks(run: Run, data_dir: Path, retried: Lineage) -> None:
    for env in ({}, {"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        ran = run("trace", retried.request_id, "--data-dir", str(data_dir), env=env)
        assert ran.code == 0
        assert "\x1b" not in ran.out
        assert "✓ delivered" in ran.out
    assert (
        "\x1b[" in run("trace", retried.request_id, "--data-dir", str(data_dir), env={"FORCE_COLOR": "1"}).out
    )


def test_csv_and_json_lines_are_one_row(run: Run, data_dir: Path, retried: Lineage) -> None:
    line = run("trace", retried.request_id, "--data-dir", str(data_dir), "-o", "jsonl").out
    assert line.count("\n") == 1
    assert json.loads(line) == lineage_document(retried)
    (row,) = csv.DictReader(
        io.StringIO(run("trace", retried.request_id, "--data-dir", str(data_dir), "-o", "csv").out)
    )
    assert row["edge.termination"] == "----"
    assert row["attempts"] == "3"
    assert row["gateway_statuses"] == "503 503 200"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["abcdef", "--since", "soon"], "--since 'soon' is no length of time"),
        (["  "], "trace needs an id"),
    ],
)
def test_wrong_usage_names_the_option_and_the_fix(
    run: Run, data_dir: Path, words: list[str], complaint: str
) -> None:
    ran = run("trace", *words, "--data-dir", str(data_dir))
    assert ran.code == 2
    assert complaint in ran.err
