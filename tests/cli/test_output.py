"""Answers as tables, JSON and CSV, and what makes hostile text harmless in each."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from pipeline.cli.output import Column, Output, console, table, write_json, write_rows
from pipeline.harmless import defused, escaped_json, printable

COLUMNS = [
    Column("id", lambda row: row["id"], 8, 8),
    Column("path", lambda row: row["path"], 6, grows=True),
    Column("ms", lambda row: str(row["ms"]), 5, right=True, rank=1),
    Column("who", lambda row: Text(row["who"]), 10, 12, rank=2),
]
ROWS = [
    {"id": "aaaaaaaa", "path": "/" + "x" * 100, "ms": 1, "who": "alice"},
    {"id": "b", "path": "/y", "ms": 12_345, "who": "somebody with a long name"},
]


def lines(width: int) -> list[str]:
    return [line.plain for line in table(ROWS, COLUMNS, width)]


def test_a_table_is_as_wide_as_asked_and_gives_the_room_to_what_grows() -> None:
    head, first, second = lines(50)
    assert head == "id        path                    ms  who"
    assert first == "aaaaaaaa  /xxxxxxxxxxxxxxxxx…      1  alice"
    assert second == "b         /y                   12345  somebody wi…"


def test_columns_of_higher_rank_go_first_where_room_is_short() -> None:
    assert lines(30)[0].split() == ["id", "path", "ms"]
    assert lines(20)[0].split() == ["id", "path"]
    assert lines(10)[0].split() == ["id"]


def test_nothing_is_cut_where_nobody_looks() -> None:
    _, first, second = lines(0)
    assert "/" + "x" * 100 in first
    assert second.endswith("somebody with a long name")


@given(st.integers(20, 200), st.lists(st.text(), min_size=1, max_size=5))
def test_no_line_of_a_table_is_wider_than_the_terminal(width: int, texts: list[str]) -> None:
    rows = [{"id": text, "path": text, "ms": 1, "who": printable(text)} for text in texts]
    for line in table(rows, COLUMNS, width):
        assert line.cell_len <= width
        assert all(char.isprintable() for char in line.plain)


@given(st.text())
def test_printable_text_cannot_control_a_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_what_is_hidden_is_shown_by_its_number() -> None:
    assert printable("a\x1b[31m\x9b\u202e\n") == r"a\x1b[31m\x9b\u202e\x0a"
    assert printable("x" * 200, 150).endswith("… (200 characters)")
    assert printable("x" * 30, 10) == "x" * 10 + "…"


@pytest.mark.parametrize(
    "text", ["-1", "+1", "-1.5e3", "----", "-R--", "--VN", "--NI", "-", "plain", "a=b", "", "503"]
)
def test_numbers_states_and_plain_text_are_left_to_a_spreadsheet(text: str) -> None:
    assert defused(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2+3+cmd",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "\r=1",
        "\uff1dx",
        "-1-1",
        "--A1+2",
        "-a1b2",
    ],
)
def test_what_could_be_a_formula_is_defused(text: str) -> None:
    assert defused(text) == f"'{printable(text)}"


@given(st.text())
def test_no_text_is_a_formula_once_defused(text: str) -> None:
    shown = defused(text)
    assert not shown.lstrip().startswith(("=", "@"))
    if shown.startswith(("+", "-")):
        assert re.fullmatch(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?|-[A-Za-z-]{0,3}", shown)
    assert shown.isprintable()


@given(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53) | st.lists(st.text())))
def test_escaped_json_is_the_same_value_and_has_nothing_to_obey(value: dict[str, Any]) -> None:
    text = escaped_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert not set(text) & {"\x1b", "\x9b", "\x7f", "\u202e", "\u2028"}


def test_csv_has_dotted_leaves_and_joined_lists(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "a": {"b": 1, "c": None},
            "flags": ["x", "y"],
            "attempts": [{"n": 1}, {"n": 2}],
            "ok": True,
            "t": "=1",
        },
        {"a": {"b": -1, "c": "----"}, "flags": [], "attempts": [], "ok": False, "t": 'say "hi", \x1b'},
    ]
    assert write_rows(rows, Output.CSV, ()) == 2
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert read == [
        {"a.b": "1", "a.c": "", "flags": "x y", "attempts": "2", "ok": "true", "t": "'=1"},
        {"a.b": "-1", "a.c": "----", "flags": "", "attempts": "", "ok": "false", "t": r'say "hi", \x1b'},
    ]


def test_csv_rows_of_another_shape_are_refused_rather_than_shifted() -> None:
    with pytest.raises(ValueError, match="rows differ in shape"):
        write_rows([{"a": 1}, {"a": 1, "b": 2}], Output.CSV, ())


def test_json_lines_are_written_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    seen = []

    def rows() -> Iterator[dict[str, int]]:
        for number in range(3):
            seen.append(out.getvalue().count("\n"))
            yield {"n": number}

    assert write_rows(rows(), Output.JSONL, ()) == 3
    assert seen == [0, 1, 2]


def test_json_is_one_array_and_an_empty_one_where_there_is_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_rows([{"n": 1}, {"n": 2}], Output.JSON, ())
    assert json.loads(capsys.readouterr().out) == [{"n": 1}, {"n": 2}]
    write_rows([], Output.JSON, ())
    assert json.loads(capsys.readouterr().out) == []
    write_json({"a": None})
    assert json.loads(capsys.readouterr().out) == {"a": None}


def test_an_ascii_terminal_gets_a_drawing_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    console().print("✓ ████ ├──")
    sys.stdout.flush()
    assert raw.getvalue().startswith(b"? ???? ")
