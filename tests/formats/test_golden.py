"""Reading every captured line and entry gives what the golden files say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_write", GOLDEN / "write.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["haproxy.jsonl", "haproxy-beside-kong.jsonl", "kong.jsonl"])
def test_captures_are_read_as_the_golden_files_say(name: str, writer: ModuleType) -> None:
    rows = json.loads(json.dumps(writer.golden_files()[name]))
    golden = [json.loads(line) for line in (GOLDEN / name).read_text("ascii").splitlines()]
    for row, expected in zip(rows, golden, strict=True):
        assert row == expected


def test_no_golden_line_or_entry_is_dead() -> None:
    for name in ("haproxy.jsonl", "haproxy-beside-kong.jsonl", "kong.jsonl"):
        rows = [json.loads(line) for line in (GOLDEN / name).read_text("ascii").splitlines()]
        assert rows
        assert not [row["case"] for row in rows if "error" in row]
