"""What the page on capacity says follows from the figures at its top, by the script that it names."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_SPEC = importlib.util.spec_from_file_location("bench_capacity", BENCHMARKS / "capacity.py")
assert _SPEC is not None
assert _SPEC.loader is not None
capacity = importlib.util.module_from_spec(_SPEC)
sys.modules["bench_capacity"] = capacity
_SPEC.loader.exec_module(capacity)


@pytest.fixture(scope="module")
def page() -> str:
    return str(capacity.PAGE.read_text(encoding="utf-8"))


def test_every_table_of_the_page_is_worked_out_of_its_own_figures(page: str) -> None:
    assert capacity.rendered(page) == page


def test_a_dearer_join_changes_the_plan_and_nothing_outside_of_the_marks(page: str) -> None:
    dear = re.sub(r"^\| `join_us` \| [\d.]+ \|", "| `join_us` | 460 |", page, flags=re.MULTILINE)
    changed = capacity.rendered(dear)
    assert "| join processes, and spare | – | 16 + 4 |" in changed  # noqa: RUF001 -- as the page writes it
    marked = re.compile(r"<!-- \w+: benchmarks.*?<!-- end of \w+ -->", re.DOTALL)
    assert marked.sub("", changed) == marked.sub("", dear)


def test_every_figure_says_which_benchmark_printed_it_and_that_there_is_one(page: str) -> None:
    rows = re.findall(r"^\| `\w+` \| [\d.,]+ \| .*\| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\| `\w+` \| [\d.,]+ \|", page, re.MULTILINE)) > 10
    named = {name for row in rows for name in re.findall(r"`(bench_\w+\.py)`", row)}
    assert named
    assert all((BENCHMARKS / name).is_file() for name in named)
