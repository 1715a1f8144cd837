"""The laws on rooms are kept by a machine, and that machine is awake."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _lint(tree: Path) -> subprocess.CompletedProcess[str]:
    lint = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [lint, "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a copy of the package that a test may break."""
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_rooms_as_they_are_keep_the_laws(tree: Path) -> None:
    found = _lint(tree)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("formats/redact.py", "import socket"),
        ("join/settle.py", "import time"),
        ("join/joiner.py", "import pipeline.store"),
        ("bus/memory.py", "import pipeline.sources"),
        ("sources/replay.py", "import pipeline.bus"),
        ("store/columns.py", "import pipeline.topology"),
        ("model/edge.py", "import pipeline.config"),
    ],
)
def test_an_import_of_a_room_that_may_not_know_another_fails(tree: Path, file: str, line: str) -> None:
    broken = tree / "pipeline" / file
    broken.write_text(broken.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    found = _lint(tree)
    assert found.returncode != 0
    assert "BROKEN" in found.stdout
