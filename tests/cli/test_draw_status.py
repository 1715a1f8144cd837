"""How late records come is said in words, per source, where anything is known of it."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from pipeline.cli.draw_status import draw_status

_ROW = {
    **dict.fromkeys(("received", "stored", "event", "duplicate", "dead_letter", "dropped", "pending"), 0),
    "drop_reasons": {},
    "dead_letter_reasons": {},
}
_LATE = {"p50": 0.002, "p90": 0.4, "p99": 4.1, "max": 61.0, "samples": 1000}


def _drawn(sources: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=200, no_color=True)
    console.print(*draw_status({"running": False, "data_dir": "/x", "sources": sources}), sep="\n")
    return console.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO


def test_lateness_and_second_halves_are_said_for_each_source() -> None:
    second = {"p50": 0.9, "p90": 1.0, "p99": 1.1, "max": 12.0, "samples": 7}
    shown = _drawn({"kong": _ROW | {"lateness_s": _LATE, "second_half_s": second}})
    assert "kong comes 2 ms (99 % 4.10 s, at most 1 m 01 s) after the request's end" in shown
    assert "; behind the other half 900 ms (99 % 1.10 s, at most 12 s)" in shown


def test_a_source_whose_clock_runs_ahead_is_shown_so() -> None:
    shown = _drawn({"haproxy": _ROW | {"lateness_s": _LATE | {"p50": -0.25}, "second_half_s": None}})
    assert "haproxy comes -250 ms (" in shown
    assert "other half" not in shown


def test_of_a_source_that_sent_nothing_nothing_is_said() -> None:
    assert "after the request's end" not in _drawn(
        {"kong": _ROW | {"lateness_s": None, "second_half_s": None}}
    )
    assert "after the request's end" not in _drawn({"kong": _ROW})
