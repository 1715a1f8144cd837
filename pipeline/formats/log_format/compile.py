"""Compiles a reader from a `log-format` string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.errors import ConfigError
from pipeline.formats.haproxy_words import split_words
from pipeline.formats.log_format import items
from pipeline.formats.log_format.ambiguity import ambiguous_items
from pipeline.formats.log_format.json_lines import JsonLines, Leaf, encoded_leaves, template_leaves
from pipeline.formats.log_format.nodes import Item, Literal, read_nodes
from pipeline.formats.log_format.pieces import NO_CAPTURES, Captures, Piece, make_pieces
from pipeline.formats.log_format.text_lines import TextLines, Values
from pipeline.formats.request_line import unescape

_REQUEST = frozenset({"r", "ST", "HM", "HU", "HP", "HPO", "HQ", "HV", "TR", "Tr", "tsc"})
_DIRECTIVES = ("log-format ", "error-log-format ", "log-format-sd ")


class _Lines(Protocol):
    def read(self, message: str, flags: set[str]) -> Values | None: ...


@dataclass(frozen=True, slots=True)
class Format:
    """A compiled format."""

    text: str
    """The string, as HAProxy has it after quotes and escapes."""
    pieces: tuple[Piece, ...]
    leaves: tuple[Leaf, ...]
    """Where its items stand in the JSON that its lines are; empty for text."""
    unnamed: tuple[str, ...]
    """Items without a name under `%{+json}o`, which HAProxy does not write."""
    encoding: str
    """`json` for `%{+json}o`."""
    captures: Captures
    lines: _Lines
    keys: tuple[str, ...] = field(init=False)
    """What its lines give, by name: aliases, words of `items.WORDS`, `%[…]` for what is not known."""
    is_session: bool = field(init=False)
    """Whether it is of TCP sessions: no item that only HTTP has. Asked for each line."""

    def __post_init__(self) -> None:
        pieces = [piece for leaf in self.leaves for piece in leaf.pieces] if self.leaves else self.pieces
        keys = tuple(dict.fromkeys(piece.key for piece in pieces if piece.key))
        object.__setattr__(self, "keys", keys)
        object.__setattr__(self, "is_session", _REQUEST.isdisjoint(keys))

    @property
    def is_json(self) -> bool:
        """Whether its lines are JSON objects."""
        return bool(self.leaves)

    def read(self, message: str, flags: set[str] | None = None) -> Values | None:
        """Give the values by key, as logged (`-` where there was none); None where a line is of another format.

        Args:
            message: The line without its envelope.
            flags: Gets `truncated` where the line was cut off, `not_json` where it should be JSON and is not.
        """
        values = self.lines.read(message, set() if flags is None else flags)
        if values is not None and (self.captures.request or self.captures.response):
            _add_captured(values, "hr", "hrl", self.captures.request)
            _add_captured(values, "hs", "hsl", self.captures.response)
        return values

    def ambiguous(self) -> tuple[str, ...]:
        """Name the items that some line gives in two ways; for JSON, that a line which is not valid JSON does."""
        if not self.leaves:
            return ambiguous_items(self.pieces)
        return tuple(
            written
            for leaf in self.leaves
            if len(leaf.pieces) > 1
            for written in ambiguous_items(leaf.pieces)
        )


def compile_format(
    text: str, *, captures: Captures = NO_CAPTURES, names: Mapping[str, str] | None = None
) -> Format:
    """Compile a `log-format` string, or a built-in name.

    Args:
        text: A name of `BUILT_IN`, the string itself, or the line of a `haproxy.cfg` with its quotes and escapes.
        captures: What `%[capture.req.hdr(N)]` and `%hr` hold, by slot.
        names: The operator's names of expressions: by expression, by `%(name)`, or by position (`#1`); each
            gives an alias or a word of `items.WORDS`.

    Raises:
        ConfigError: HAProxy would refuse it, it has no item, or its lines are CBOR.
    """
    text = items.BUILT_IN.get(text, "") or _unquoted(text)
    names = names or {}
    for name in names.values():
        if name not in items.WORDS and name not in items.ALIASES:
            raise ConfigError(
                f"log_format: no value is called {name!r}; known are aliases and {', '.join(items.WORDS)}"
            )
    nodes, encoding = read_nodes(text)
    if encoding == "cbor" or any(isinstance(node, Item) and "cbor" in node.flags for node in nodes):
        raise ConfigError(
            "log_format: lines of %{+cbor}o are binary and are not read; use %{+json}o or write the JSON by hand"
        )
    pieces = make_pieces(nodes, captures, names)
    if not any(piece.key for piece in pieces):
        known = ", ".join(items.BUILT_IN)
        raise ConfigError(f"log_format: {text[:60]!r} is neither a built-in name ({known}) nor a log-format")
    if encoding:
        named = [node for node in nodes if isinstance(node, Item)]
        leaves = encoded_leaves([piece for piece in pieces if piece.key], [node.name for node in named])
        unnamed = tuple(node.written for node in named if not node.name)
        if not leaves:
            raise ConfigError("log_format: %{+json}o writes only items that have a name: %(client_ip)ci")
        return Format(
            text, tuple(pieces), tuple(leaves), unnamed, encoding, captures, JsonLines(leaves, None)
        )
    if isinstance(nodes[0], Literal) and nodes[0].text.lstrip().startswith("{"):
        leaves = template_leaves(pieces)
        lines = JsonLines(leaves, TextLines(pieces))
        return Format(text, tuple(pieces), tuple(leaves), (), "", captures, lines)
    return Format(text, tuple(pieces), (), (), "", captures, TextLines(pieces))


def _unquoted(text: str) -> str:
    """Take a format out of the line of a configuration, if it still is in one."""
    text = text.strip()
    directive = next((word for word in _DIRECTIVES if text.startswith(word)), "")
    if directive or (len(text) > 1 and text[0] == text[-1] and text[0] in "'\"") or "\\ " in text:
        words = split_words(text.removeprefix(directive), {})
        if len(words) == 1:
            return words[0]
        if directive:
            raise ConfigError('log_format: spaces must be escaped or quoted, as in log-format "%ci %ST"')
    return text


def _add_captured(values: Values, braced: str, listed: str, slots: Sequence[str]) -> None:
    """Name the parts of `{a|b}` by what the slots hold; what the line says elsewhere goes first."""
    text = values.get(braced) or values.get(listed)
    if not text or text == "-":
        return
    parts = text.strip("{}").split("|") if values.get(braced) else text.strip('"').split('" "')
    if len(parts) != len(slots):
        return
    for expression, part in zip(slots, parts, strict=True):
        name = items.item_of(expression)
        if name:
            values.setdefault(name, unescape(part))
