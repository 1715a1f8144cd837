import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from pipeline.bus.state import State
from pipeline.errors import ConfigError
from pipeline.model import Outcome, OutcomeKind, Source


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    outcomes = {
        Outcome(Source.KONG, OutcomeKind.DEAD_LETTER, "not_json"): 3,
        Outcome(Source.HAPROXY, OutcomeKind.STORED): 2**40,
    }
    first = State(tmp_path)
    base = first.committed
    first.save(base + 5, outcomes)
    first.save_key_check("abc")
    first.close()
    again = State(tmp_path)
    assert (again.committed, again.outcomes, again.key_check) == (base + 5, Counter(outcomes), "abc")
    again.close()


def test_every_save_is_synced(tmp_path: Path) -> None:
    state = State(tmp_path)
    settings = {
        name: state._database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "locking_mode")
    }
    state.close()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive"}


def test_the_reserve_is_taken_again_after_it_was_needed(tmp_path: Path) -> None:
    state = State(tmp_path)
    (tmp_path / "reserve").unlink()
    state.save(state.committed, {})
    assert (tmp_path / "reserve").stat().st_size == 2**20
    state.close()


def test_a_state_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    State(tmp_path).close()
    database = sqlite3.connect(tmp_path / "state.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ConfigError, match="version 99"):
        State(tmp_path)


@pytest.mark.parametrize("text", ["[[]]", "not json", '[["nobody", "stored", "", 1]]'])
def test_outcomes_that_are_not_ours_are_refused(tmp_path: Path, text: str) -> None:
    State(tmp_path).close()
    database = sqlite3.connect(tmp_path / "state.db")
    with database:
        database.execute("UPDATE state SET outcomes = ?", (text,))
    database.close()
    with pytest.raises(ConfigError, match="cannot be used"):
        State(tmp_path)
