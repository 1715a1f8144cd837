"""The end of a query is taken off only where it is one, and nothing hides in a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.web.door_refusal import DoorRefusal
from pipeline.web.door_sql import Clauses, refuse_odd_names, split_clauses, tokens, unquoted


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("SELECT 1", Clauses("SELECT 1", None, {})),
        ("SELECT 1 FORMAT JSON", Clauses("SELECT 1", "JSON", {})),
        ("SELECT 1 SETTINGS a = 1 FORMAT JSON", Clauses("SELECT 1", "JSON", {"a": "1"})),
        ("SELECT 1 FORMAT JSON SETTINGS a = 1", Clauses("SELECT 1", "JSON", {"a": "1"})),
        ("SELECT 1 SETTINGS a = 'x, \\'y', b = 1.5", Clauses("SELECT 1", None, {"a": "x, 'y", "b": "1.5"})),
        ("SELECT 1 SETTINGS a = true", Clauses("SELECT 1", None, {"a": "true"})),
        ("SELECT ' FORMAT JSON'", Clauses("SELECT ' FORMAT JSON'", None, {})),
        ("SELECT `x` AS format", Clauses("SELECT `x` AS format", None, {})),
        ("SELECT (SELECT 1 FORMAT JSON)", Clauses("SELECT (SELECT 1 FORMAT JSON)", None, {})),
        ("SELECT SETTINGS, a", Clauses("SELECT SETTINGS, a", None, {})),
        (
            "SELECT 1 SETTINGS a = 1 UNION ALL SELECT 2",
            Clauses("SELECT 1 SETTINGS a = 1 UNION ALL SELECT 2", None, {}),
        ),
        ("SELECT 1 SETTINGS a = [1]", Clauses("SELECT 1 SETTINGS a = [1]", None, {})),
        ("SELECT {a:Array(String)} FORMAT CSV", Clauses("SELECT {a:Array(String)}", "CSV", {})),
        ("", Clauses("", None, {})),
    ],
)
def test_clauses_at_the_end_are_taken_off(text: str, clauses: Clauses) -> None:
    assert split_clauses(text) == clauses


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 INTO OUTFILE 'x'",
        "SELECT 1 INTO outfile 'x' FORMAT CSV",
        "SELECT `a\\nb`",
        'SELECT "a\\`b"',
        "SELECT `a\u2028b`",
        "SELECT 'open",
        "SELECT `open",
        "SELECT 1\n",
        "SELECT \x00",
    ],
)
def test_what_would_hide_something_is_refused(text: str) -> None:
    with pytest.raises(DoorRefusal):
        split_clauses(text)


@pytest.mark.parametrize("value", ["a b", "a\\nb", "a`b", "a(b", "ä\n", "x'"])
def test_a_parameter_that_stands_for_a_name_must_be_plain(value: str) -> None:
    refuse_odd_names("SELECT {n:Identifier}", {"n": "system.processes"})
    refuse_odd_names("SELECT {n:String}", {"n": value})
    with pytest.raises(DoorRefusal, match="must be a plain name"):
        refuse_odd_names("SELECT 1, {n:Identifier} FROM t", {"n": value})


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_any_text_is_cut_without_loss_or_refused(text: str) -> None:
    try:
        found = tokens(text)
    except DoorRefusal:
        return
    assert "".join(token.text for token in found) == "".join(
        text[token.start : token.start + len(token.text)] for token in found
    )
    covered = {at for token in found for at in range(token.start, token.start + len(token.text))}
    assert all(text[at] == " " for at in range(len(text)) if at not in covered)


@given(st.text(max_size=50))
def test_a_literal_stands_for_what_was_written_into_it(text: str) -> None:
    written = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    assert unquoted(written) == text
