from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from pipeline.formats.haproxy_config.conditions import Circumstances, holds

CIRCUMSTANCES = Circumstances({"A": "1", "E": ""}, "2.8.3")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", False), ("0", False), ("1", True), ("-5", True), ("!0", True), ("! 1", False),
        ("defined(A)", True), ("defined(E)", True), ("!defined(B)", True),
        ("streq(a,a)", True), ("streq(a, b)", False), ("strneq(a,b)", True), ("strstr(abc,b)", True),
        ("version_atleast(2.8)", True), ("version_atleast(2.8.3)", True), ("version_atleast(2.9-dev1)", False),
        ("version_before(3.0)", True), ("version_before(2.8)", False), ("feature(OPENSSL)", True),
        ("1 && 0", False), ("0 || 1", True), ("0 && 0 || 1", True), ("1 || 0 && 0", True), ("(1 || 0) && 0", False),
        ("!(defined(A) && 0)", True), ("defined(A)&&!defined(B)", True),
    ],
)  # fmt: skip
def test_conditions_hold_as_the_manual_says(condition: str, expected: bool) -> None:
    assert holds(condition, CIRCUMSTANCES) is expected


@pytest.mark.parametrize("condition", ["maybe", "nonsense(1)", "(1", "1 1", "&& 1", "1 &&"])
def test_what_is_no_condition_is_refused(condition: str) -> None:
    with pytest.raises(ConfigError, match="condition"):
        holds(condition, CIRCUMSTANCES)
