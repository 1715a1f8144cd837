"""Reads a `log-format` string as HAProxy does: text, separators and items (manual 8.2.6; 3.x: 8.2.4 to 8.2.6)."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.errors import ConfigError

_ITEM = re.compile(
    r"%(?:\((?P<name>[\w-]*)(?::(?P<cast>\w+))?\))?(?:\{(?P<flags>[^}]*)\})?(?P<alias>[A-Za-z][A-Za-z0-9]*)?",
    re.ASCII,
)
_FLAGS = {"Q", "X", "E", "M", "bin", "json", "cbor"}
_ENCODINGS = {"json", "cbor"}
_TYPES = {"str", "sint", "bool"}


class Item(NamedTuple):
    """Something HAProxy puts a value for."""

    alias: str
    """`ci`, `tr`, …; empty for an expression."""
    expression: str
    """What stands in `%[…]`."""
    name: str
    """Given by `%(name)…` (3.0)."""
    cast: str
    """`str`, `sint`, `bool` of `%(name:type)…`."""
    flags: frozenset[str]
    """Flags in force, those of `%o` before it included."""

    @property
    def written(self) -> str:
        """The item without its flags, to name it to people."""
        return f"%{self.alias}" if self.alias else f"%[{self.expression}]"


class Literal(NamedTuple):
    """Text that every line has."""

    text: str


class Separator(NamedTuple):
    """Spaces: one is written, none where nothing was written since the last."""


Node = Item | Literal | Separator


class Nodes(NamedTuple):
    """A format taken apart."""

    nodes: tuple[Node, ...]
    encoding: str
    """`json` or `cbor` where `%{+json}o` encodes the whole line, else empty."""


def read_nodes(text: str) -> Nodes:
    """Take a format apart.

    Raises:
        ConfigError: HAProxy would refuse it: an alias or a flag that does not exist, a bracket not closed.
    """
    nodes: list[Node] = []
    defaults: frozenset[str] = frozenset()
    common: frozenset[str] | None = None
    position = 0
    while position < len(text):
        if text[position] != "%":
            end = min(
                (at for at in (text.find("%", position), text.find(" ", position)) if at >= 0),
                default=len(text),
            )
            if end == position:
                nodes.append(Separator())
                end = position + 1
            else:
                nodes.append(Literal(text[position:end]))
            position = end
        elif text[position : position + 2] == "%%":
            nodes.append(Literal("%"))
            position += 2
        else:
            item, position = _read_item(text, position, defaults)
            if item.alias == "o":
                defaults = item.flags
                common = defaults if common is None else common & defaults
            else:
                nodes.append(item)
    encoding = next(iter(sorted((common or frozenset()) & _ENCODINGS)), "")
    return Nodes(_joined(nodes), encoding)


def _read_item(text: str, start: int, defaults: frozenset[str]) -> tuple[Item, int]:
    found = _ITEM.match(text, start)
    if found is None:  # cannot be: the pattern begins with % and all else is optional
        raise ConfigError("log_format: not an item")
    if found["cast"] and found["cast"] not in _TYPES:
        raise ConfigError(f"log_format: HAProxy has no type {found['cast']!r}: str, sint and bool are all")
    flags = _with_flags(defaults, found["flags"] or "")
    end = found.end()
    if found["alias"]:
        return Item(found["alias"], "", found["name"] or "", found["cast"] or "", flags), end
    if text[end : end + 1] != "[":
        raise ConfigError(
            f"log_format: {text[start : start + 20]!r} is neither %alias nor %[expression]; write %% for a percent sign"
        )
    close = _end_of_expression(text, end + 1)
    expression = text[end + 1 : close].strip()
    return Item("", expression, found["name"] or "", found["cast"] or "", flags), close + 1


def _with_flags(flags: frozenset[str], changes: str) -> frozenset[str]:
    for change in filter(None, changes.split(",")):
        sign, flag = change[:1], change[1:]
        if sign in {"+", "-"} and flag in _FLAGS:
            flags = flags | {flag} if sign == "+" else flags - {flag}
    return flags


def _end_of_expression(text: str, position: int) -> int:
    """Find the bracket that ends an expression; brackets in its arguments are in parentheses or quotes."""
    depth, quote = 0, ""
    start = position
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and depth:
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "]" and depth <= 0:
            return position
        position += 1
    raise ConfigError(f"log_format: the bracket of %[{text[start : start + 30]} is not closed")


def _joined(nodes: list[Node]) -> tuple[Node, ...]:
    """Join texts that stand beside each other, and separators; those at the very start write nothing."""
    joined: list[Node] = []
    for node in nodes:
        last = joined[-1] if joined else Separator()
        if isinstance(node, Literal) and isinstance(last, Literal) and joined:
            joined[-1] = Literal(last.text + node.text)
        elif not (isinstance(node, Separator) and isinstance(last, Separator)):
            joined.append(node)
    return tuple(joined)
