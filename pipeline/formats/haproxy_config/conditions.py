"""Decides `.if` of a HAProxy configuration (manual 2.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.errors import ConfigError

_TOKEN = re.compile(r"\s*(?:(&&|\|\||[!()])|([\w.]+)\(([^()]*)\)|(-?\d+)|$)")
_NUMBER = re.compile(r"\d+")


class Circumstances(NamedTuple):
    """What a condition may ask for."""

    environ: Mapping[str, str]
    version: str
    """Of the HAProxy that reads the file: `2.6`."""


def holds(condition: str, circumstances: Circumstances) -> bool:
    """Say whether a condition holds; an empty one does not.

    Features (`feature(OPENSSL)`) are taken to be there, as this process cannot ask the binary.

    Raises:
        ConfigError: It is not a condition.
    """
    if not condition.strip():
        return False
    reader = _Reader(condition, circumstances)
    value = reader.either()
    reader.end()
    return value


class _Reader:
    """Reads a condition from left to right; `&&` binds closer than `||`."""

    def __init__(self, text: str, circumstances: Circumstances) -> None:
        self._text = text
        self._circumstances = circumstances
        self._position = 0
        self._mark, self._name, self._arguments, self._number = "", "", "", ""
        self._advance()

    def either(self) -> bool:
        """Read an expression of `||`."""
        value = self._both()
        while self._mark == "||":
            self._advance()
            value = self._both() or value
        return value

    def end(self) -> None:
        """Raise unless all is read."""
        if self._mark or self._name or self._number:
            raise ConfigError(f"condition {self._text!r} goes on where it should end")

    def _both(self) -> bool:
        value = self._one()
        while self._mark == "&&":
            self._advance()
            value = self._one() and value
        return value

    def _one(self) -> bool:
        if self._mark == "!":
            self._advance()
            return not self._one()
        if self._mark == "(":
            self._advance()
            value = self.either()
            if self._mark != ")":
                raise ConfigError(f"condition {self._text!r}: a parenthesis is not closed")
            self._advance()
            return value
        if self._number:
            value = int(self._number) != 0
        elif self._name:
            value = self._predicate(self._name, [part.strip() for part in self._arguments.split(",")])
        else:
            raise ConfigError(f"condition {self._text!r} is not understood")
        self._advance()
        return value

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._position)
        if found is None:
            raise ConfigError(
                f"condition {self._text!r} is not understood at {self._text[self._position :]!r}"
            )
        self._position = found.end()
        self._mark, self._name, self._arguments, self._number = (part or "" for part in found.groups())

    def _predicate(self, name: str, arguments: list[str]) -> bool:
        first, second = arguments[0], arguments[1] if len(arguments) > 1 else ""
        if name == "defined":
            return first in self._circumstances.environ
        if name in {"streq", "strneq"}:
            return (first == second) is (name == "streq")
        if name == "strstr":
            return second in first
        if name in {"version_atleast", "version_before"}:
            return (_version(self._circumstances.version) >= _version(first)) is (name == "version_atleast")
        if name in {"feature", "enabled", "openssl_version_atleast"}:
            return True
        if name == "openssl_version_before":
            return False
        raise ConfigError(f"condition {self._text!r}: {name}() is not known")


def _version(text: str) -> tuple[int, ...]:
    numbers = [int(number) for number in _NUMBER.findall(text.partition("-")[0])[:3]]
    return (*numbers, *([0] * (3 - len(numbers))))
