"""Opening a store, and what is said where it cannot be."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, StoreUnavailable
from pipeline.store.connection import Connection, Refused, answering, connect
from pipeline.store.dsn import EmbeddedDsn, parse_dsn

HOLD = """
import sys
from pathlib import Path
from pipeline.store.connection import connect
from pipeline.store.dsn import EmbeddedDsn
held = connect(EmbeddedDsn(Path(sys.argv[1])), create=True)
print("held", flush=True)
sys.stdin.read()
held.close()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the store `tmp_path`/store in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "store"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process


def test_a_directory_in_use_names_the_process(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(ConfigError, match=f"in use by process {holder.pid}"):
        connect(EmbeddedDsn(tmp_path / "store"))
    holder.communicate()
    connect(EmbeddedDsn(tmp_path / "store")).close()


def test_closing_leaves_no_noise_at_the_end_of_the_process(holder: subprocess.Popen[str]) -> None:
    _, noise = holder.communicate()
    assert (noise, holder.returncode) == ("", 0)


def test_a_store_that_is_not_there_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no store"):
        connect(EmbeddedDsn(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_a_second_directory_in_one_process_is_refused_in_words(
    connection: Connection, tmp_path: Path
) -> None:
    assert connection.client.ping()
    with pytest.raises(ConfigError, match="one at a time"):
        connect(EmbeddedDsn(tmp_path / "other"), create=True)


def test_the_directory_of_a_new_store_is_private(tmp_path: Path, connection: Connection) -> None:
    del connection  # only so that the engine of this module is closed after this test, not within
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "new"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.communicate()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_server_that_does_not_answer_may_answer_later() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        connect(parse_dsn("clickhouse://127.0.0.1:1/hoptrail", {}))


def test_a_database_that_is_missing_says_what_to_run(face_address: str) -> None:
    with pytest.raises(ConfigError, match="hoptrail schema apply"):
        connect(parse_dsn(f"clickhouse://{face_address}/nothing_here", {}))


@pytest.mark.parametrize(
    "question",
    [
        "SELECT length(groupArray(number)) FROM numbers(10000000) SETTINGS max_memory_usage = 1000000",
        "SELECT toUInt8('no number')",
    ],
    ids=["memory_limit", "content"],
)
def test_a_question_that_fails_may_pass_later_and_only_rows_are_refused_for_good(
    connection: Connection, question: str
) -> None:
    with pytest.raises(StoreUnavailable), answering():
        connection.client.command(question)
    with pytest.raises(Refused), answering(takes_rows=True):
        connection.client.command(question)
