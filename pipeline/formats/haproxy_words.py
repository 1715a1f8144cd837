"""HAProxy's way to cut a line of its configuration into words (manual 2.2, 2.3): quotes, escapes, variables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.errors import ConfigError

_PLAIN = re.compile(r"[^\s\\'\"#]+")
_WEAK = re.compile(r'[^\\"$]+')
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile(r"x([0-9A-Fa-f]{2})")
_VARIABLE = re.compile(r"\$(?:\{(\.?\w+)(\[\*\])?(?:-([^}]*))?\}|(\.?\w+))", re.ASCII)


def split_words(line: str, environ: Mapping[str, str]) -> list[str]:
    r"""Cut one line into words; a comment ends it.

    Args:
        line: As written: `log-format "%ci\ ${FORMAT}"`.
        environ: What `${NAME}` between double quotes stands for; an unknown one is empty.

    Raises:
        ConfigError: A quote is not closed.
    """
    cutter = _Cutter(line, environ)
    while cutter.position < len(line):
        cutter.step()
    return cutter.end()


class _Cutter:
    """One line being cut; `word` is None between words, as an empty quoted word is one too."""

    def __init__(self, line: str, environ: Mapping[str, str]) -> None:
        self.position = 0
        self._line = line
        self._environ = environ
        self._words: list[str] = []
        self._word: list[str] | None = None

    def step(self) -> None:
        """Take what comes next outside of quotes."""
        character = self._line[self.position]
        if character == "\\":
            self._escape()
        elif character == "'":
            self._strong()
        elif character == '"':
            self._weak()
        elif character == "#":
            self.position = len(self._line)
        elif character.isspace():
            self._cut()
            self.position += 1
        else:
            self._match(_PLAIN)

    def end(self) -> list[str]:
        """Give the words."""
        self._cut()
        return self._words

    def _put(self, text: str, position: int) -> None:
        self._word = self._word or []
        self._word.append(text)
        self.position = position

    def _cut(self) -> None:
        if self._word is not None:
            self._words.append("".join(self._word))
        self._word = None

    def _match(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._line, self.position)
        text = found[0] if found else self._line[self.position]
        self._put(text, self.position + len(text))

    def _strong(self) -> None:
        end = self._line.find("'", self.position + 1)
        if end < 0:
            raise ConfigError("a single quote is not closed")
        self._put(self._line[self.position + 1 : end], end + 1)

    def _weak(self) -> None:
        self._put("", self.position + 1)
        while self.position < len(self._line):
            character = self._line[self.position]
            if character == '"':
                self.position += 1
                return
            if character == "\\":
                self._escape(is_quoted=True)
            elif character == "$":
                self._variable()
            else:
                self._match(_WEAK)
        raise ConfigError("a double quote is not closed")

    def _escape(self, *, is_quoted: bool = False) -> None:
        """Read a backslash and what it escapes; before an unknown letter it stays, as HAProxy has it."""
        at = self.position + 1
        character = self._line[at : at + 1]
        if found := _HEX.match(self._line, at):
            self._put(chr(int(found[1], 16)), found.end())
        elif character in _ESCAPES:
            self._put(_ESCAPES[character], at + 1)
        elif character and character in (" \t#'\"\\$" if is_quoted else " \t#'\"\\"):
            self._put(character, at + 1)
        else:
            self._put("\\", at)

    def _variable(self) -> None:
        found = _VARIABLE.match(self._line, self.position)
        if found is None:
            self._put("$", self.position + 1)
            return
        braced, is_list, default, bare = found.groups()
        text = self._environ.get(braced or bare, default or "")
        if is_list:  # each value is a word of its own
            *first, text = text.split(" ")
            for part in first:
                self._put(part, self.position)
                self._cut()
        self._put(text, found.end())
