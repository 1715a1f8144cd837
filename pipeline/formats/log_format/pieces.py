"""From nodes to pieces: each item with the name its value goes by, the texts it may be, and how they are undone."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pipeline.errors import ConfigError
from pipeline.formats.log_format import items, shapes
from pipeline.formats.log_format.nodes import Item, Literal, Node, Separator
from pipeline.formats.log_format.shapes import Shape

_CAPTURE = re.compile(r"capture\.(req|res)\.hdr\((\d+)\)")
_ESCAPED = re.compile(r'\\(["\\\]])')
_UNKNOWN = "%["


class Captures(NamedTuple):
    """What `capture` rules of a frontend put into their slots, by index: the expression captured."""

    request: Sequence[str] = ()
    response: Sequence[str] = ()


NO_CAPTURES = Captures()


class Piece(NamedTuple):
    """A literal text, or an item."""

    literal: str = ""
    key: str = ""
    """Name of the value: an alias, a word of `items.WORDS`, or `%[expression]` where nothing is known of it."""
    shape: Shape = Shape(0)
    quoted: bool = False
    vanishes: bool = False
    """Nothing, and no separator behind it, is written where there is nothing to write."""
    decode: Callable[[str], str] | None = None
    """Undoes escapes of the text that was written."""
    convert: Callable[[str], str] | None = None
    """Undoes the `X` flag."""
    written: str = ""
    """The item as in the format, to name it to people."""

    @property
    def is_known(self) -> bool:
        """Whether a record has a place for it."""
        return bool(self.key) and not self.key.startswith(_UNKNOWN)


def takes_space(pieces: Sequence[Piece], index: int) -> bool:
    """Whether a separator behind an item is written only if the item is: one was written just before it."""
    if not pieces[index].vanishes or index + 2 >= len(pieces) or pieces[index + 1].literal != " ":
        return False
    return index == 0 or pieces[index - 1].literal == " "


def make_pieces(nodes: Sequence[Node], captures: Captures, names: Mapping[str, str]) -> list[Piece]:
    """Give each node its piece.

    Args:
        nodes: The format.
        captures: What the slots of `%[capture.req.hdr(N)]` hold.
        names: The operator's own: by expression (`var(txn.kid)`), by `%(name)`, or by position among the
            expressions (`#1` is the first).

    Raises:
        ConfigError: There is no such alias.
    """
    pieces: list[Piece] = []
    expressions = 0
    for node in nodes:
        if isinstance(node, Literal):
            pieces.append(Piece(node.text))
        elif isinstance(node, Separator):
            pieces.append(Piece(" "))
        else:
            expressions += not node.alias
            pieces.append(_item(node, f"#{expressions}", captures, names))
    return [_enclosed(pieces, index) for index in range(len(pieces))]


def _enclosed(pieces: Sequence[Piece], index: int) -> Piece:
    """Take a JSON string for bounded only where it stands between quotes."""
    piece = pieces[index]
    if piece.shape is not shapes.JSON_STRING or piece.quoted:
        return piece
    before = pieces[index - 1].literal if index else ""
    behind = pieces[index + 1].literal if index + 1 < len(pieces) else ""
    is_enclosed = before.endswith('"') and behind.startswith('"')
    return piece if is_enclosed else piece._replace(shape=shapes.FREE)


def key_of(item: Item, position: str, captures: Captures, names: Mapping[str, str]) -> str:
    """Name an item's value."""
    if item.alias:
        return names.get(item.name, item.alias) if item.name else item.alias
    expression = _captured(item.expression, captures)
    for name in (
        names.get(position),
        names.get(item.expression),
        names.get(expression),
        names.get(item.name),
    ):
        if name:
            return name
    if item.name in items.WORDS or item.name in items.ALIASES:
        return item.name
    return items.item_of(expression) or f"{_UNKNOWN}{item.expression}]"


def _item(item: Item, position: str, captures: Captures, names: Mapping[str, str]) -> Piece:
    key = key_of(item, position, captures, names)
    if item.alias and item.alias not in items.ALIASES:
        raise ConfigError(f"log_format: HAProxy has no %{item.alias}; write %% for a percent sign")
    is_hex = "X" in item.flags and item.alias in items.HEXADECIMAL
    shape = items.ALIASES[item.alias] if item.alias else items.shape_of(item.expression)
    shape = items.HEXADECIMAL[item.alias] if is_hex else shape
    quoted = "Q" in item.flags and (not item.alias or item.alias in items.QUOTABLE)
    decode: Callable[[str], str] | None = None
    if "json" in item.flags or "cbor" in item.flags:
        return Piece(key=key, shape=shapes.JSON_VALUE, decode=_json_value, written=item.written)
    if item.alias in {"hrl", "hsl"} and quoted:
        shape, quoted = shapes.QUOTED_LIST, False
    elif shape is shapes.JSON_STRING:
        decode = _json_string
    elif "E" in item.flags and (not item.alias or item.alias in items.QUOTABLE):
        alphabet = shape.alphabet & ~shapes.alphabet('"]')
        shape = shape._replace(
            alphabet=alphabet, escape=True, is_free=shape.is_free and not quoted, pattern=""
        )
        decode = _without_escapes
    if quoted and shape.is_free and shape.escape:
        shape = shape._replace(is_free=False)
    vanishes = item.alias in items.VANISHING
    if quoted:  # quotes are written around nothing, too
        vanishes = vanishes and item.alias not in {"HPO", "HQ"}
        shape = shape._replace(least=0, pattern=f"(?:{shape.pattern})?" if shape.pattern else "")
    elif "Q" in item.flags and item.alias in {"bp", "cp", "fp", "sp"}:
        shape, decode = shape._replace(pattern=f'(?:{shape.pattern or shape.regex()}|"")'), _without_quotes
    convert = _from_hex(item.alias) if is_hex else None
    return Piece("", key, shape, quoted, vanishes, decode, convert, item.written)


def _captured(expression: str, captures: Captures) -> str:
    """Put what a slot holds in the place of `capture.req.hdr(N)`; converters behind it stay."""
    found = _CAPTURE.match(expression)
    if found is None:
        return expression
    slots = captures.request if found[1] == "req" else captures.response
    slot = int(found[2])
    return slots[slot] + expression[found.end() :] if slot < len(slots) and slots[slot] else expression


def _without_quotes(text: str) -> str:
    return text.strip('"')


def _without_escapes(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _json_string(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _json_value(text: str) -> str:
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return text
    return "-" if value is None else value if isinstance(value, str) else json.dumps(value)


def _from_hex(alias: str) -> Callable[[str], str]:
    """Undo the `X` flag: numbers to decimal ones, addresses to their usual form."""
    if alias in {"bi", "ci", "fi", "si"}:
        return _address_from_hex
    return lambda text: text if text == "-" else str(int(text, 16)).zfill(3 if alias == "ms" else 0)


def _address_from_hex(text: str) -> str:
    if len(text) not in {8, 32}:
        return text
    packed = bytes.fromhex(text)
    return str(ipaddress.IPv4Address(packed) if len(packed) == 4 else ipaddress.IPv6Address(packed))  # noqa: PLR2004
