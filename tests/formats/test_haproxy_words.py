"""Written from the manual's own table (2.2); `log_format/test_against_haproxy.py` asks the real HAProxy."""

from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from pipeline.formats.haproxy_words import split_words

ENVIRON = {"HOME": "/home/me", "LIST": "1 2 3", "EMPTY": ""}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  # comment", []),
        ("a  b\tc # d", ["a", "b", "c"]),
        (r"a\ b\#c\"d\'e\\f", ["a b#c\"d'e\\f"]),
        (r"\x41\n\t", ["A\n\t"]),
        ('"a b" # c', ["a b"]),
        ("'a \"$HOME\\n' b", ['a "$HOME\\n', "b"]),
        ('"${HOME}/x $HOME ${NO-default} ${EMPTY-default}|"', ["/home/me/x /home/me default |"]),
        ('"${LIST[*]}" x', ["1", "2", "3", "x"]),
        ("${HOME}", ["${HOME}"]),
        (r'"\$HOME \d"', [r"$HOME \d"]),
        ("''", [""]),
        ("a\"b\"'c'd", ["abcd"]),
        ("log-format \"%{+Q}o %t\"' %s'\\ %{-Q}r", ["log-format", "%{+Q}o %t %s %{-Q}r"]),
    ],
)
def test_words_are_cut_as_the_manual_says(line: str, words: list[str]) -> None:
    assert split_words(line, ENVIRON) == words


@pytest.mark.parametrize("line", ['"open', "'open"])
def test_an_open_quote_is_an_error(line: str) -> None:
    with pytest.raises(ConfigError, match="not closed"):
        split_words(line, {})
