"""The list of functions against the engine's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pipeline.web.door_functions import AGGREGATES, IN_FUNCTIONS, SCALARS, TABLE_FUNCTIONS, may_call

if TYPE_CHECKING:
    from conftest import Door

SUSPECT = re.compile(
    r"file|url$|http|dict|joinGet|catboost|model|sleep|server|setting|macro|port$|filesystem|certificate|"
    r"addressTo|demangle|query|hostname|fqdn|uptime|zookeeper|transaction|profile|role|^ai|evalML|bayes|region|"
    r"schema|shard|logTrace|connection|encrypt|decrypt|mergeTree|hasColumn|executable|python|uuid$|currentRequest",
    re.IGNORECASE,
)
INNOCENT = {
    *("generateSnowflakeID", "toUUID", "reinterpretAsUUID", "SCHEMA", "cutQueryString", "queryString"),
    *(
        "cutQueryStringAndFragment",
        "queryStringAndFragment",
        "JSON_QUERY",
        "port",
        "serverTimezone",
        "serverTimeZone",
    ),
}
"""Match a suspicious word, and only compute from their arguments (a schema here is the current database)."""


@pytest.fixture(scope="module")
def engine(door: Door) -> dict[str, bool]:
    """Give the engine's functions and whether each is an aggregate."""
    rows = door.text("SELECT name, is_aggregate FROM system.functions").splitlines()
    return {name: flag == "1" for name, flag in (row.split("\t") for row in rows)}


def test_every_listed_function_exists_and_is_of_its_kind(engine: dict[str, bool]) -> None:
    assert {name for name in SCALARS if engine.get(name) is not False} == set()
    assert {name for name in AGGREGATES if engine.get(name) is not True} == set()


def test_no_refused_function_is_called_like_an_allowed_one_but_for_case(engine: dict[str, bool]) -> None:
    listed = SCALARS | AGGREGATES
    lower = {name.lower() for name in listed}
    assert {name for name in engine if name.lower() in lower and name not in listed} == set()


def test_combinators_let_no_other_function_in(engine: dict[str, bool]) -> None:
    listed = SCALARS | AGGREGATES
    assert {name for name in engine if may_call(name)} - listed == {"caseWithExpression", "_CAST"}


def test_every_combinator_of_the_engine_is_known(door: Door) -> None:
    for combinator in door.text("SELECT name FROM system.aggregate_function_combinators").split():
        assert may_call(f"sum{combinator}"), combinator
        assert not may_call(f"file{combinator}"), combinator


def test_no_listed_function_bears_a_suspicious_name() -> None:
    assert {name for name in SCALARS | AGGREGATES if SUSPECT.search(name)} - INNOCENT == set()


def test_no_table_function_that_reads_is_let_in_as_an_ordinary_one(door: Door) -> None:
    names = set(door.text("SELECT name FROM system.table_functions").split())
    assert names >= TABLE_FUNCTIONS
    assert {name for name in names - TABLE_FUNCTIONS if may_call(name)} == {"format"}
    assert {name for name in TABLE_FUNCTIONS if SUSPECT.search(name)} == set()


def test_set_functions_are_listed_too() -> None:
    assert all(may_call(name) for name in IN_FUNCTIONS)


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("count", True),
        ("COUNT", True),
        ("countIf", True),
        ("quantilesTDigestMergeState", True),
        ("sumOrNullIf", True),
        ("toStartOfMinute", True),
        ("Merge", False),
        ("IF", True),
        ("fileIf", False),
        ("State", False),
        ("", False),
        ("sleep", False),
        ("FILE", False),
    ],
)
def test_a_function_may_be_called_by_its_name(name: str, may: bool) -> None:
    assert may_call(name) is may
