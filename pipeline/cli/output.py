"""How answers leave: a table for eyes; JSON, JSON lines or CSV for programs.

What was logged may be hostile: nothing here lets it control a terminal, a spreadsheet or a JSON reader.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import chain
from typing import Annotated, Any, NamedTuple

import orjson
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pipeline.harmless import defused, escaped_json, printable

Row = Mapping[str, Any]

MOST_SHOWN = 10**9
"""Highest `--limit`: more than any store holds, and a number that Python and SQL can count to."""

_GAP = 2
"""Cells between two columns."""
_ALIGNED = 60
"""Longest cell that others are aligned to where nothing is cut."""


class Output(StrEnum):
    """Forms of an answer."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Form of the answer.")]


class Column(NamedTuple):
    """One column of a table."""

    title: str
    value: Callable[[Row], str | Text]
    """Gives a cell; a plain string is made printable, a Text must be so already."""
    width: int = 4
    """Least width that is worth showing."""
    most: int = 60
    """Width at which a cell is cut on a terminal."""
    grows: bool = False
    """Takes what room is left."""
    right: bool = False
    rank: int = 0
    """Columns with higher ranks are left out first where room is short."""


def write_rows(rows: Iterable[Row], output: Output, columns: Sequence[Column]) -> int:
    """Write an answer of many rows to standard output; gives their number.

    JSON is one array. JSON lines are written as they come, so that a pipe can begin. CSV has a column for
    each leaf of the first row (`edge.timers.Ta`); lists are joined by spaces, lists of objects counted. The
    table has `columns`.
    """
    counted = _Counted(rows)
    with _until_reader_leaves():
        if output is Output.TABLE:
            out = console()
            for line in table(list(counted), columns, seen_width()):
                out.print(line, soft_wrap=True)
        elif output is Output.JSON:
            write_json(list(counted))
        elif output is Output.JSONL:
            for row in counted:
                sys.stdout.write(_json(row) + "\n")
                sys.stdout.flush()
        else:
            _write_csv(counted)
    return counted.count


def seen_width() -> int:
    """Give the cells of a line where somebody looks (a terminal, or `COLUMNS` says so), else 0."""
    out = console()
    return out.width if out.is_terminal or "COLUMNS" in os.environ else 0


def write_json(value: object) -> None:
    """Write one JSON value, indented."""
    with _until_reader_leaves():
        sys.stdout.write(_json(value, orjson.OPT_INDENT_2) + "\n")


def draw(*parts: Any) -> None:  # noqa: ANN401 -- whatever rich can render
    """Write what rich renders to standard output, one below the other."""
    out = console()
    with _until_reader_leaves():
        for part in parts:
            out.print(part)


def say(text: str) -> None:
    """Write a line for a person to standard error."""
    console(stderr=True).print(Text(printable(text)), soft_wrap=True)


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Make a console that interprets nothing in what it is given, and is plain unless a terminal looks."""
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # an ASCII terminal gets `?` for a bar, never a traceback
    return _Console(
        stderr=stderr,
        width=width,
        color_system=None if "NO_COLOR" in os.environ else "auto",
        markup=False,
        emoji=False,
        highlight=False,
    )


def table(rows: Sequence[Row], columns: Sequence[Column], width: int = 0) -> Iterator[Text]:
    """Lay out a table, its head first, with as many of the columns as fit.

    Args:
        rows: What it shows.
        columns: All that could be shown.
        width: Cells of a line; 0: every column, uncut, for whoever reads it with a program.
    """
    shown = _fitting(columns, width) if width else list(columns)
    cells = [[_cell(column.value(row)) for column in shown] for row in rows]
    widths = _widths(cells, shown, width)
    yield _line([Text(column.title, "bold") for column in shown], shown, widths, is_cut=width > 0)
    for row in cells:
        yield _line(row, shown, widths, is_cut=width > 0)


def flat(row: Row, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give the leaves of a row by dotted name, as CSV has them."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            is_plain = not any(isinstance(item, Mapping | list | tuple) for item in value)
            yield prefix + name, " ".join(str(item) for item in value) if is_plain else str(len(value))
        else:
            yield prefix + name, _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write_csv(rows: Iterable[Row]) -> None:
    """Write rows under the names of the first; a leaf that it has not is an error of ours, never lost."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    given = iter(rows)
    first = next(given, None)
    if first is None:
        return
    names = [name for name, _ in flat(first)]
    writer.writerow(names)
    for row in chain([first], given):
        leaves = dict(flat(row))
        if unknown := leaves.keys() - set(names):
            raise ValueError(f"rows differ in shape: {sorted(unknown)}")
        writer.writerow([defused(leaves.get(name, "")) for name in names])


def _json(value: object, option: int = 0) -> str:
    return escaped_json(orjson.dumps(value, default=str, option=option).decode())


def _fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Give the columns that fit, in their order; the lowest ranks are sure of their place."""
    kept: set[int] = set()
    used = -_GAP
    for place in sorted(range(len(columns)), key=lambda place: columns[place].rank):
        used += columns[place].width + _GAP
        if used > width and kept:
            break
        kept.add(place)
    return [column for place, column in enumerate(columns) if place in kept]


def _widths(cells: Sequence[Sequence[Text]], columns: Sequence[Column], width: int) -> list[int]:
    """Give each column what it needs, within its bounds; one that grows gives room to the others."""
    widths = []
    for place, column in enumerate(columns):
        needed = max((row[place].cell_len for row in cells), default=0)
        most = (column.most if not column.grows else width) if width else _ALIGNED
        widths.append(max(cell_len(column.title), min(needed, most)))
    excess = sum(widths) + _GAP * (len(columns) - 1) - width
    for place, column in enumerate(columns):
        if width and column.grows and excess > 0:
            widths[place] = max(column.width, widths[place] - excess)
    return widths


def _line(cells: Sequence[Text], columns: Sequence[Column], widths: Sequence[int], *, is_cut: bool) -> Text:
    line = Text(no_wrap=True)
    for cell, column, width in zip(cells, columns, widths, strict=True):
        if is_cut:
            cell.truncate(width, overflow="ellipsis")
        padding = Text(" " * max(0, width - cell.cell_len))
        for part in (padding, cell) if column.right else (cell, padding):
            line.append_text(part)
        line.append(" " * _GAP)
    line.rstrip()
    return line


def _cell(value: str | Text) -> Text:
    return value if isinstance(value, Text) else Text(printable(value, 200))


class _Counted:
    """Counts what passes."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


@contextmanager
def _until_reader_leaves() -> Iterator[None]:
    """End the process quietly when the reader of a pipe has had enough (`| head`)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave the exit code to us."""
        raise  # noqa: PLE0704 -- rich calls this while it handles the error
