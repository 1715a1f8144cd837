"""What may be asked: one statement, of a kind that reads, made of parts that are known.

The engine puts the text into its canonical form and refuses a second statement; from then on only that form
is looked at and run, so that what was judged is what is executed. Needs a session that may ask the engine to
parse and to analyse (`Parser`), which itself is read-only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from pipeline.web.door_formats import HELLO
from pipeline.web.door_refusal import denied, malformed
from pipeline.web.door_settings import ACCEPTED
from pipeline.web.door_sql import refuse_odd_names, split_clauses
from pipeline.web.door_tree import check_resolved, check_table, check_tree

_NAME = r"(?:\w+|`\w+`)"
_TABLE = rf"(?P<table>{_NAME}(?:\.{_NAME})?)"
_LIKE = r"(?: (?:NOT )?I?LIKE '(?:[^'\\]|\\.)*')?(?: LIMIT \d+)?"
_PLAIN = (
    re.compile(rf"SHOW (?:FULL )?TABLES(?: FROM (?P<database>{_NAME}))?{_LIKE}"),
    re.compile(rf"SHOW DATABASES{_LIKE}"),
    re.compile(rf"SHOW (?:EXTENDED )?(?:FULL )?COLUMNS FROM {_TABLE}(?: FROM (?P<database>{_NAME}))?{_LIKE}"),
    re.compile(rf"SHOW CREATE (?:TABLE|VIEW) {_TABLE}"),
    re.compile(rf"DESCRIBE TABLE {_TABLE}"),
    re.compile(rf"EXISTS (?:TABLE|VIEW) {_TABLE}"),
    re.compile(rf"EXISTS DATABASE {_NAME}"),
)
"""Statements other than SELECT, whole."""

_EXPLAIN = re.compile(
    r"EXPLAIN(?: (?:AST|SYNTAX|QUERY TREE|PIPELINE|ESTIMATE))?"
    r"(?: \w+ = \d+(?:, \w+ = \d+)*)? (?P<query>(?:SELECT|WITH) .*)"
)
_DESCRIBE = re.compile(r"DESCRIBE TABLE \((?P<query>(?:SELECT|WITH) .*)\)")

_TAKEN = ", ".join(f"'{name}'" for name in sorted(ACCEPTED))
_REWRITTEN = {
    "SELECT name, value, readonly FROM system.settings LIMIT 10000": (
        f"SELECT name, value, toUInt8(name NOT IN ({_TAKEN})) AS readonly"  # noqa: S608 -- names of ours
        " FROM system.settings LIMIT 10000"
    ),
    HELLO: "SELECT 'hoptrail' AS `displayName()`, version(), toUInt32(0) AS `revision()`, timezone()",
}
"""Start-up questions of clients, and what we answer instead: `readonly` tells which settings this door takes
(the engine, read-only, would say none), and the name and the protocol revision are the door's own."""


_ESCAPES = str.maketrans(
    {"\\": r"\\", "\n": r"\n", "\t": r"\t", "\r": r"\r", "\0": r"\0", "\b": r"\b", "\f": r"\f"}
)


class Parser(Protocol):
    """A session of the engine that parses and analyses."""

    def text(self, sql: str, parameters: Mapping[str, str]) -> str:
        """Give an answer as text, without its last line break."""
        ...


class Statement(NamedTuple):
    """A query that may be run as it is."""

    sql: str
    """Canonical, without the clauses at its end."""
    canonical: str
    """The same as asked, with them: for the log."""
    format: str | None
    settings: dict[str, str]
    is_select: bool
    is_hello: bool


def inspect(parser: Parser, sql: str, parameters: Mapping[str, str], database: str) -> Statement:
    """Judge a query.

    Args:
        parser: Asks the engine.
        sql: As it came.
        parameters: Of `{name:Type}`, as they came.
        database: The one whose tables may be read.

    Raises:
        DoorRefusal: Not one statement, not of an allowed kind, or made of something that is not allowed.
    """
    canonical = parser.text("SELECT formatQuerySingleLine({q:String})", {"q": _escaped(sql)})
    asked = split_clauses(canonical)
    refuse_odd_names(asked.core, parameters)
    if not asked.core:
        raise malformed("Empty query")
    core, is_hello = _REWRITTEN.get(asked.core, asked.core), asked.core == HELLO
    if _is_plain(core, database):
        return Statement(core, canonical, asked.format, asked.settings, is_select=False, is_hello=False)
    select = _select_in(core)
    if core is asked.core:
        _check_select(parser, select, parameters, database)
    return Statement(core, canonical, asked.format, asked.settings, select is core, is_hello)


def _is_plain(core: str, database: str) -> bool:
    """Whether it is one of the statements that are allowed whole; their tables are judged."""
    for kind in _PLAIN:
        if (match := kind.fullmatch(core)) is not None:
            named = match.groupdict()
            owner = (named.get("database") or "").strip("`")
            table = (named.get("table") or "").replace("`", "")
            if table:
                check_table(f"{owner}.{table}" if owner else table, database)
            elif owner not in {"", database, "system"}:
                raise denied(f"database {owner} is refused: only {database}")
            return True
    return False


def _select_in(core: str) -> str:
    """Give the SELECT that is explained or described, else the text as it is."""
    for kind in (_EXPLAIN, _DESCRIBE):
        if (match := kind.fullmatch(core)) is not None:
            return match["query"]
    return core


def _check_select(parser: Parser, core: str, parameters: Mapping[str, str], database: str) -> None:
    check_tree(parser.text(f"EXPLAIN AST {core}", parameters), database)
    check_resolved(parser.text(f"EXPLAIN QUERY TREE {core}", parameters), database)


def _escaped(text: str) -> str:
    """Write text as the value of a `String` parameter, which the engine reads as a tab-separated field."""
    return text.translate(_ESCAPES)
