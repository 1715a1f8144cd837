"""A reader of JSON lines: hand-written objects, also nested, and HAProxy 3.0's own `%{+json}o`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline.errors import ConfigError, MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.lenient_json import REFUSED, load_lenient, mend
from pipeline.formats.log_format.pieces import Piece
from pipeline.formats.log_format.text_lines import TextLines, Values

_OPEN, _CLOSE = "\ue000", "\ue001"
"""Stand for an item in the template; private use, so no operator's text."""
_decode = msgspec.json.Decoder(dict[str, object]).decode
_DEEPEST = 32


class Leaf(NamedTuple):
    """A value of the template that holds items."""

    path: tuple[str | int, ...]
    pieces: tuple[Piece, ...]
    is_bare: bool
    """Written without quotes: a `-` or a `+` would break the JSON."""


class JsonLines:
    """Reads lines of one format.

    Args:
        leaves: Where in the object the items stand.
        as_text: Reads a line that is not JSON (a backslash of `%r`, a quote of an expression) by the same format.
    """

    def __init__(self, leaves: Sequence[Leaf], as_text: TextLines | None) -> None:
        self._as_text = as_text
        self._single: list[tuple[str, str, Callable[[str], str] | None]] = []
        self._others: list[tuple[Leaf, TextLines | None]] = []
        for leaf in leaves:
            if len(leaf.path) == 1 and len(leaf.pieces) == 1:
                piece = leaf.pieces[0]
                self._single.append((str(leaf.path[0]), piece.key, piece.convert))
            else:
                reader = (
                    TextLines([_unescaped(piece) for piece in leaf.pieces]) if len(leaf.pieces) > 1 else None
                )
                self._others.append((leaf, reader))

    def read(self, message: str, flags: set[str]) -> Values | None:
        """Give the values by key, as logged; None where the line is not of this format."""
        if not message.startswith("{"):
            return None
        try:
            tree: dict[str, Any] = _decode(message)
        except REFUSED:
            loaded = self._load(message, flags)
            if loaded is None:
                return self._read_as_text(message, flags)
            tree = loaded
        values: Values = {}
        for name, key, undo in self._single:
            value = tree.get(name)
            if value is not None:
                text = value if isinstance(value, str) else _as_logged(value, key)
                values.setdefault(key, undo(text) if undo else text)
        for leaf, reader in self._others:
            self._read_leaf(leaf, reader, _at(tree, leaf.path), values)
        return values or None

    @staticmethod
    def _read_leaf(leaf: Leaf, reader: TextLines | None, value: object, values: Values) -> None:
        if value is None:
            return
        text = value if isinstance(value, str) else _as_logged(value, leaf.pieces[0].key)
        convert = leaf.pieces[0].convert
        found = (
            reader.read(text, set()) if reader else {leaf.pieces[0].key: convert(text) if convert else text}
        )
        for key, part in (found or {}).items():
            values.setdefault(key, part)

    @staticmethod
    def _load(message: str, flags: set[str]) -> dict[str, Any] | None:
        try:
            return load_lenient(message)
        except MalformedLine:
            mended = mend(message)
        if mended is None:
            return None
        try:
            tree = load_lenient(mended)
        except MalformedLine:
            return None
        flags.add(flag.TRUNCATED)
        return tree

    def _read_as_text(self, message: str, flags: set[str]) -> Values | None:
        values = self._as_text.read(message, flags) if self._as_text else None
        if values is not None:
            flags.add(flag.NOT_JSON)
        return values


def encoded_leaves(pieces: Sequence[Piece], names: Sequence[str]) -> list[Leaf]:
    """Give the leaves of `%{+json}o`: items without a name are not written at all (manual 8.2.4, 3.0)."""
    return [
        Leaf((name,), (piece._replace(quoted=False, decode=None),), is_bare=False)
        for piece, name in zip(pieces, names, strict=True)
        if name
    ]


def template_leaves(pieces: Sequence[Piece]) -> list[Leaf]:
    """Find the items in a hand-written JSON object.

    Raises:
        ConfigError: The format begins like JSON and is none, so that no line of it would be.
    """
    template, bare = _template(pieces)
    try:
        tree = json.loads(template)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"log_format: begins like JSON, but is not: {error}") from error
    leaves: list[Leaf] = []
    _collect(tree, (), pieces, bare, leaves)
    return leaves


def _template(pieces: Sequence[Piece]) -> tuple[str, set[int]]:
    """Put marks in the place of items; those outside of strings are put into one."""
    text: list[str] = []
    bare: set[int] = set()
    in_string = escaped = False
    for index, piece in enumerate(pieces):
        if not piece.key:
            for character in piece.literal:
                if escaped:
                    escaped = False
                elif character == "\\" and in_string:
                    escaped = True
                elif character == '"':
                    in_string = not in_string
            text.append(piece.literal)
            continue
        mark = f"{_OPEN}{index}{_CLOSE}"
        if not in_string:
            mark = f'"{mark}"'
            if not piece.quoted and piece.decode is None:
                bare.add(index)
        text.append(mark)
    return "".join(text), bare


def _collect(
    tree: object, path: tuple[str | int, ...], pieces: Sequence[Piece], bare: set[int], leaves: list[Leaf]
) -> None:
    if len(path) > _DEEPEST:
        raise ConfigError("log_format: nested deeper than any reader of JSON lines would follow")
    if isinstance(tree, dict):
        for key, inner in tree.items():
            _collect(inner, (*path, key), pieces, bare, leaves)
    elif isinstance(tree, list):
        for index, inner in enumerate(tree):
            _collect(inner, (*path, index), pieces, bare, leaves)
    elif isinstance(tree, str) and _OPEN in tree:
        found: list[Piece] = []
        is_bare = False
        for part in tree.split(_OPEN):
            number, close, rest = part.partition(_CLOSE)
            if close:
                found.append(pieces[int(number)])
                is_bare = is_bare or int(number) in bare
            literal = rest if close else part
            if literal:
                found.append(Piece(literal))
        leaves.append(Leaf(path, tuple(found), is_bare))


def _unescaped(piece: Piece) -> Piece:
    """Give a piece as it is once JSON's own escapes are gone."""
    if not piece.key or not piece.shape.escape:
        return piece
    return piece._replace(shape=piece.shape._replace(escape=False, is_free=True), decode=None)


def _at(tree: Any, path: tuple[str | int, ...]) -> object:  # noqa: ANN401 -- whatever JSON holds
    for step in path:
        if isinstance(step, str) and isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(step, int) and isinstance(tree, list) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def _as_logged(value: object, key: str) -> str:
    """Write a number as HAProxy logs it elsewhere: milliseconds with zeros in front, whole numbers whole."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return text.zfill(3) if key == "ms" else text
