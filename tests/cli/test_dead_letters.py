"""`hoptrail dead-letters`, beside a store that `hoptrail replay` filled; each command its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.cli.letters import Original
from pipeline.cli.mend import Mender
from pipeline.formats.redact import Redactor
from pipeline.model import Source

ROOT = Path(__file__).resolve().parents[2]
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
    assert place.run("dead-letters", "list", "--limit", "9" * 20).code == 2
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
    assert (mended / "haproxy.log").stat().st_mode & 0o777 == 0o600
    again = place.run(
        "replay", "--haproxy", str(mended / "haproxy.log"), "--log-format", FORMAT, "-o", "json"
    )
    assert json.loads(again.out)["sources"]["haproxy"]["stored"] == 1
    found = place.run("search", "--path", "/later", "-o", "json")
    assert [row["request_id"] for row in json.loads(found.out)] == ["abc-2"]
    assert "S3cr3t" not in found.out


def test_a_log_to_look_in_is_wanted(place: Place) -> None:
    assert place.run("dead-letters", "replay").code == 2


def test_without_a_key_no_original_is_kept_and_that_is_said(place: Place, tmp_path: Path) -> None:
    letter = place.letters()[0]
    assert letter["original_key"] is None
    assert place.run("dead-letters", "show", letter["fingerprint"], "--original").code == 2
    (tmp_path / "key").write_bytes(b"k" * 32)
    ran = place.run(
        "dead-letters", "show", letter["fingerprint"], "--original", "--key-file", str(tmp_path / "key")
    )
    assert (ran.code, ran.out) == (1, "")
    assert "no original was kept" in ran.err


class Keyed(NamedTuple):
    place: Place
    key: Path
    other: Path


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Keyed:
    """Fill a store whose dead letters keep their originals."""
    directory = tmp_path_factory.mktemp("keyed")
    place = Place(directory / "haproxy.log", directory / "kong.jsonl", directory / "data")
    place.log.write_bytes(CUSTOM + NONSENSE + b"odd \xff\x1b[31m bytes\n")
    place.kong.write_bytes(b'[{"request":{"id":"a","headers":{"cookie":"s=S3cr3tValue"}}}]\n')
    key, other, config = directory / "originals.key", directory / "other.key", directory / "hoptrail.yaml"
    key.write_bytes(b"the key of originals, long enough")
    other.write_bytes(b"another key, and as long as that")
    config.write_text(json.dumps({"redaction": {"originals_key_file": str(key)}}), encoding="utf-8")
    ran = place.run("replay", "--haproxy", str(place.log), "--kong", str(place.kong), "--config", str(config))
    assert ran.code == 0, ran.err
    return Keyed(place, key, other)


def _by_size(place: Place, size: int) -> dict[str, str]:
    return next(letter for letter in place.letters() if int(letter["size"]) == size)


def test_with_the_key_the_original_comes_back_byte_by_byte(keyed: Keyed) -> None:
    place, key, _ = keyed
    body = b"odd \xff\x1b[31m bytes"
    letter = _by_size(place, len(body))
    shown = subprocess.run(
        [str(HOPTRAIL), "dead-letters", "show", letter["fingerprint"], "--original", "--key-file", str(key), "--data-dir", str(place.data_dir)],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    assert shown.stdout == body


def test_another_key_opens_nothing_and_is_told_from_the_right_one(keyed: Keyed, tmp_path: Path) -> None:
    place, _, other = keyed
    letter = _by_size(place, len(CUSTOM) - 1)
    ran = place.run("dead-letters", "show", letter["fingerprint"], "--original", "--key-file", str(other))
    assert (ran.code, ran.out) == (1, "")
    assert f"sealed with the key {letter['original_key']}" in ran.err
    ran = place.run(
        "dead-letters",
        "replay",
        "--originals-key-file",
        str(other),
        "--log-format",
        FORMAT,
        "--into",
        str(tmp_path),
    )
    assert ran.code == 1
    assert "0 of 4 dead letters" in ran.err


def test_list_and_show_hold_neither_originals_nor_secrets(keyed: Keyed) -> None:
    place, key, _ = keyed
    listed = place.run("dead-letters", "list", "-o", "json").out
    shown = place.run("dead-letters", "show", _by_size(place, len(CUSTOM) - 1)["fingerprint"]).out
    for text in (listed, shown):
        assert "S3cr3t" not in text
        assert '"original"' not in text
        assert len(json.loads(shown)["original_key"]) == 16
    for file in place.data_dir.rglob("*"):
        if file.is_file():
            assert key.read_bytes() not in file.read_bytes()


def test_after_a_mend_originals_of_the_store_come_in_without_any_log(keyed: Keyed, tmp_path: Path) -> None:
    place, key, _ = keyed
    mended = tmp_path / "mended"
    ran = place.run(
        "dead-letters",
        "replay",
        "--originals-key-file",
        str(key),
        "--log-format",
        FORMAT,
        "--into",
        str(mended),
    )
    assert ran.code == 1, ran.err  # the others are still not understood
    assert "1 of 4 dead letters are understood now" in ran.err
    assert "3 were found and are not understood still" in ran.err
    assert (mended / "haproxy.log").read_bytes() == CUSTOM
    assert not (mended / "kong.jsonl").exists()


def test_an_original_that_was_changed_in_the_store_is_not_shown(keyed: Keyed) -> None:
    """Changes it as somebody would who may write to the store: for the ciphertext of another letter."""
    place, key, _ = keyed
    script = (
        "import sys; from pathlib import Path; from pipeline.store.connection import connect; "
        "from pipeline.store.dsn import EmbeddedDsn; c = connect(EmbeddedDsn(Path(sys.argv[1]))); "
        'c.client.command("ALTER TABLE dead_letter_versions UPDATE original = (SELECT any(original) FROM '
        "dead_letter_versions WHERE size = 12) WHERE size = {size:UInt64}\", parameters={'size': int(sys.argv[2])}, "
        "settings={'mutations_sync': 2, 'allow_nondeterministic_mutations': 1}); c.close()"
    )
    size = len(CUSTOM) - 1
    subprocess.run(
        [sys.executable, "-c", script, str(place.data_dir / "store"), str(size)],
        check=True, timeout=120, capture_output=True, cwd=ROOT,
    )  # fmt: skip
    letter = _by_size(place, size)
    ran = place.run("dead-letters", "show", letter["fingerprint"], "--original", "--key-file", str(key))
    assert (ran.code, ran.out) == (1, "")
    assert "cannot be opened: it was changed, or belongs to another letter" in ran.err


def test_a_record_on_which_our_own_code_fails_still_is_counted_as_not_understood(tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("nobody foresaw it")

    mender = Mender(Redactor(b"k" * 32), {Source.KONG: fails, Source.HAPROXY: fails}, tmp_path / "mended")
    mender.take(Original(Source.KONG, "0" * 64, b"{}"))
    assert mender.counts == {"dead": 1}
