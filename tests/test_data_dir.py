"""What the process keeps for itself stays private."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.data_dir import announced, load_key, make_private
from pipeline.errors import ConfigError


def test_the_directory_and_the_key_are_this_users_alone(tmp_path: Path) -> None:
    directory = make_private(tmp_path / "a" / "b")
    key = load_key(directory / "store.key", create=True)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "store.key").stat().st_mode & 0o777 == 0o600
    assert len(key) == 32


def test_a_key_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "store.key"
    assert load_key(file, create=True) == load_key(file, create=True)


def test_a_missing_or_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_key(tmp_path / "none", create=False)
    (tmp_path / "short").write_bytes(b"secret")
    with pytest.raises(ConfigError, match="needs at least 16"):
        load_key(tmp_path / "short", create=False)


def test_server_json_is_there_while_the_server_runs(tmp_path: Path) -> None:
    with announced(tmp_path, {"read_url": "http://127.0.0.1:1"}) as file:
        assert json.loads(file.read_text()) == {"pid": os.getpid(), "read_url": "http://127.0.0.1:1"}
        assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []
