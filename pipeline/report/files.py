"""I/O: the file of a report, written beside its place and moved there when it is whole.

JSON lines are the record of truth: whole lineages, by `schemas/lineage.schema.json`, nothing escaped. CSV has the
columns of `report.columns` and is safe to open in a spreadsheet. Parquet has the same columns, typed.
"""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson

from pipeline.errors import PipelineError
from pipeline.harmless import defused
from pipeline.report.columns import COLUMNS, Document, row_of

_BLOCK = 1 << 20


class Form(StrEnum):
    """Forms of a report."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class ReportError(PipelineError):
    """A file of the report could not be made."""


class Writer:
    """Takes lineages, one at a time."""

    def __init__(self, file: IO[bytes], form: Form) -> None:
        """Write into a file; Parquet is made of its lines afterwards."""
        self.rows = 0
        self.changed_cells = 0
        """Cells of CSV that got an apostrophe, or an escape for a character that does not print."""
        self._file, self._form = file, form
        if form is Form.CSV:
            self._write_csv([column.name for column in COLUMNS])

    def write(self, document: Document) -> None:
        """Add a lineage."""
        self.rows += 1
        if self._form is Form.JSONL:
            self._file.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
        elif self._form is Form.PARQUET:
            named = dict(zip((column.name for column in COLUMNS), row_of(document), strict=True))
            self._file.write(orjson.dumps(named, option=orjson.OPT_APPEND_NEWLINE))
        else:
            self._write_csv([self._cell(value) for value in row_of(document)])

    def _cell(self, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str):
            return str(value)
        shown = defused(value)
        self.changed_cells += shown != value
        return shown

    def _write_csv(self, cells: list[str]) -> None:
        csv.writer(_Lines(self._file)).writerow(cells)


class _Lines:
    """Lets the csv module write into a binary file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, line: str) -> None:
        self._file.write(line.encode())


@contextmanager
def report_file(path: Path, form: Form) -> Iterator[Writer]:
    """Open a report's file; it stands at its path, readable by its owner alone, once all went well.

    Raises:
        ReportError: It could not be written.
    """
    with _whole(path) as file:
        yield Writer(file, form)
        if form is Form.PARQUET:
            file.flush()
            _make_parquet(Path(file.name))


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """Write beside a path, and move there at the end."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


_PARQUET = """
import sys
import chdb
lines, file, structure = sys.argv[1:]
quoted = [value.replace("\\\\", "\\\\\\\\").replace("'", "\\\\'") for value in (lines, structure, file)]
chdb.query(
    "SELECT * FROM file('{}', JSONEachRow, '{}') INTO OUTFILE '{}' TRUNCATE FORMAT Parquet "
    "SETTINGS max_threads = 1, output_format_parquet_compression_method = 'zstd'".format(*quoted)
)
"""
"""In a process of its own: this one may hold the store's engine, and an engine knows one directory."""


def _make_parquet(lines: Path) -> None:
    """Make Parquet of JSON lines, in place, by the engine that the store has."""
    types = (
        f"{column.name} {column.kind if column.kind == 'Bool' else f'Nullable({column.kind})'}"
        for column in COLUMNS
    )
    made = lines.with_suffix(".parquet-made")
    try:
        words = [
            sys.executable,
            "-P",
            "-c",
            _PARQUET,
            str(lines.resolve()),
            str(made.resolve()),
            ", ".join(types),
        ]
        done = subprocess.run(  # noqa: S603 -- our own words; nothing is imported from where we stand
            words, capture_output=True, text=True, check=False, umask=0o077
        )
        if done.returncode or not made.exists():
            raise ReportError(f"cannot make Parquet: {done.stderr.strip().rsplit(chr(10), 1)[-1]}")
        made.chmod(0o600)
        made.replace(lines)
    finally:
        made.unlink(missing_ok=True)


class FileFacts(NamedTuple):
    """What a manifest says of a file."""

    name: str
    bytes: int
    sha256: str


def facts_of(path: Path) -> FileFacts:
    """Read a file through."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return FileFacts(path.name, path.stat().st_size, digest.hexdigest())


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest, indented, for people too.

    Raises:
        ReportError: It could not be written.
    """
    with _whole(path) as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
