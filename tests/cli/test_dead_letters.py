"""`hoptrail dead-letters`, beside a store that `hoptrail replay` filled; each command its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

HOPTRAIL = Path(sys.executable).with_name("hoptrail")
GOOD = b'127.0.0.1:1 [23/Nov/2026:18:35:39.609] fe be/s 0/0/0/0/7 200 85 - - ---- 1/1/0/0/2 0/0 "GET /good HTTP/1.1" abc-1\n'
CUSTOM = b"fe|192.0.2.1|23/Nov/2026:18:35:39.609|204|GET /later?token=S3cr3tValue HTTP/1.1|abc-2\n"
NONSENSE = b"what is this\n"
FORMAT = "%f|%ci|%tr|%ST|%r|%ID"


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Place(NamedTuple):
    log: Path
    kong: Path
    data_dir: Path

    def run(self, *words: str) -> Ran:
        done = subprocess.run(
            [str(HOPTRAIL), *words, "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def letters(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.run("dead-letters", "list", "-o", "jsonl").out.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    directory = tmp_path_factory.mktemp("dead")
    place = Place(directory / "haproxy.log", directory / "kong.jsonl", directory / "data")
    place.log.write_bytes(GOOD + CUSTOM + NONSENSE)
    place.kong.write_bytes(b'[{"request":{"id":"a"}}]\n')
    ran = place.run("replay", "--haproxy", str(place.log), "--kong", str(place.kong), "-o", "json")
    assert ran.code == 0, ran.err
    return place


def test_letters_are_listed_with_their_reason_and_no_secret(place: Place) -> None:
    letters = place.letters()
    assert sorted((letter["source"], letter["reason"]) for letter in letters) == [
        ("haproxy", "not_a_log_line"), ("haproxy", "not_a_log_line"), ("kong", "no_date"),
    ]  # fmt: skip
    shown = place.run("dead-letters", "list")
    assert shown.code == 0
    assert "not_a_log_line" in shown.out
    assert "S3cr3t" not in shown.out + json.dumps(letters)


def test_letters_are_found_by_reason_source_and_time(place: Place) -> None:
    def count(*words: str) -> int:
        return len(place.run("dead-letters", "list", *words, "-o", "jsonl").out.splitlines())

    assert count("--reason", "no_date") == 1
    assert count("--source", "haproxy") == 2
    assert count("--limit", "1") == 1
    assert place.run("dead-letters", "list", "--reason", "too_large").code == 1


def test_one_letter_is_shown_by_the_beginning_of_its_fingerprint(place: Place) -> None:
    letter = next(letter for letter in place.letters() if letter["reason"] == "no_date")
    ran = place.run("dead-letters", "show", letter["fingerprint"][:10])
    assert ran.code == 0
    assert json.loads(ran.out)["body"] == '{"request":{"id":"a"}}'
    assert place.run("dead-letters", "show", "ffffffffff").code == 1
    assert place.run("dead-letters", "show", "xyz").code == 2


def test_after_a_mend_the_originals_are_found_in_the_log_and_come_in(place: Place, tmp_path: Path) -> None:
    more = tmp_path / "rotated.log"
    more.write_bytes(b"another line of text\n" * 3 + CUSTOM + GOOD)
    mended = tmp_path / "mended"
    words = ("--haproxy", str(more), "--into", str(mended))
    nothing = place.run("dead-letters", "replay", *words)
    assert nothing.code == 1
    assert "1 were found and are not understood still" in nothing.err
    ran = place.run("dead-letters", "replay", *words, "--log-format", FORMAT)
    assert ran.code == 0, ran.err
    assert "1 of 3 dead letters are understood now" in ran.err
    assert (mended / "haproxy.log").read_bytes() == CUSTOM
    again = place.run(
        "replay", "--haproxy", str(mended / "haproxy.log"), "--log-format", FORMAT, "-o", "json"
    )
    assert json.loads(again.out)["sources"]["haproxy"]["stored"] == 1
    found = place.run("search", "--path", "/later", "-o", "json")
    assert [row["request_id"] for row in json.loads(found.out)] == ["abc-2"]
    assert "S3cr3t" not in found.out


def test_a_log_to_look_in_is_wanted(place: Place) -> None:
    assert place.run("dead-letters", "replay").code == 2
