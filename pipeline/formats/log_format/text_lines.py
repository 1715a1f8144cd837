"""A reader of text lines, made of pieces.

Three ways, each tried where the one before fails: one regular expression in which no value may hold the text
that ends it; the same with the values that HAProxy does not bound cut out between what is certain; and, for a
line that was cut off, piece by piece as far as it goes. Each takes time linear in the line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.formats import flags as flag
from pipeline.formats.log_format.pieces import Piece, takes_space
from pipeline.formats.log_format.shapes import ANY, QUOTE, SPACE, alphabet

Values = dict[str, str | None]
_FEWEST_KEPT = 3
_SPACES = " {0,64}"
"""At a line's end they mean nothing; a relay may have taken them away."""


class TextLines:
    """Reads lines of one format."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = [_stripped_end(pieces[-1]), *reversed(pieces[:-1])][::-1] if pieces else []
        self._patterns = [_pattern(self._pieces, index) for index in range(len(self._pieces))]
        self._undo = [(piece.key, act) for piece in pieces for act in (piece.decode, piece.convert) if act]
        self._keys, whole = _assemble(self._pieces, self._patterns)
        self._match = re.compile(whole + _SPACES, re.DOTALL).fullmatch
        self._chunks = _chunks(self._pieces, self._patterns)
        self._prefixes: dict[int, tuple[list[str], re.Pattern[str]]] = {}

    def read(self, message: str, flags: set[str]) -> Values | None:
        """Give the values by key, as logged; None where the line is not of this format."""
        found = self._match(message)
        if found is not None:
            values: Values | None = dict(zip(self._keys, found.groups(), strict=True))
        else:
            values = self._between(message) or self._as_far(message, flags)
        if values is None:
            return None
        for key, undo in self._undo:
            text = values.get(key)
            if text is not None:
                values[key] = undo(text)
        return values

    def _between(self, message: str) -> Values | None:
        """Find what is certain from the left, the last of it at the very end; the values between are free."""
        if len(self._chunks) < 2:  # noqa: PLR2004 -- there is no between
            return None
        values: Values = {}
        position, free = 0, ""
        for index, (keys, pattern, next_free) in enumerate(self._chunks):
            found = pattern.search(message, position) if index else pattern.match(message)
            if found is None:
                return None
            if free:
                values.setdefault(free, message[position : found.start()])
            values.update(zip(keys, found.groups(), strict=True))
            position, free = found.end(), next_free
        return values

    def _as_far(self, message: str, flags: set[str]) -> Values | None:
        """Read the pieces that are whole; what is left must be the beginning of the piece behind them."""
        low, high = 0, len(self._pieces)
        found: re.Match[str] | None = None
        while low < high:  # if some pieces match, so do fewer
            middle = (low + high + 1) // 2
            prefix = self._prefix(middle)[1].match(message)
            low, high, found = (middle, high, prefix) if prefix else (low, middle - 1, found)
        if found is None or low == len(self._pieces):
            return None  # of another format, or the line goes on where the format ends
        values: Values = dict(zip(self._prefix(low)[0], found.groups(), strict=True))
        rest, piece = message[found.end() :], self._pieces[low]
        if not _begins(piece, rest):
            return None
        last = self._pieces[low - 1]
        if not rest and last.key and last.shape.most and last.shape.most != last.shape.least:
            values.pop(last.key, None)  # a number that was cut is another number
        elif rest and piece.key and not piece.shape.most:
            values.setdefault(piece.key, rest.removeprefix('"'))
        if len(values) < _FEWEST_KEPT:
            return None
        flags.add(flag.TRUNCATED)
        return values

    def _prefix(self, count: int) -> tuple[list[str], re.Pattern[str]]:
        known = self._prefixes.get(count)
        if known is None:
            keys, pattern = _assemble(self._pieces[:count], self._patterns[:count])
            known = self._prefixes[count] = keys, re.compile(pattern, re.DOTALL)
        return known


def _stripped_end(piece: Piece) -> Piece:
    return piece if piece.key else piece._replace(literal=piece.literal.rstrip(" "))


def _pattern(pieces: Sequence[Piece], index: int) -> str:
    """Write one piece as a regular expression with one group for its value."""
    piece = pieces[index]
    if not piece.key:
        if piece.literal == " ":
            if index > 0 and takes_space(pieces, index - 1):
                return ""  # written with what vanishes
            if all(later.vanishes or later.literal == " " for later in pieces[index + 1 :]):
                return " ?"  # the spaces at a line's end are not looked at
        return re.escape(piece.literal)
    shape = piece.shape
    if piece.quoted:
        shape = shape._replace(alphabet=shape.alphabet & ~QUOTE)
    elif shape.is_free and not piece.quoted:
        shape = shape._replace(alphabet=ANY & ~_next_character(pieces, index))
    group = f'"({shape.regex()})"' if piece.quoted else f"({shape.regex()})"
    if not piece.vanishes:
        return group
    if not takes_space(pieces, index):
        return f"(?:{group})?"
    # Without a query, 2.6 writes the separator behind it all the same, 3.x does not.
    return f"(?:{group} )?" if shape.brackets or piece.quoted else f"(?:{group}? )?"


def _next_character(pieces: Sequence[Piece], index: int) -> int:
    """Give the character that ends a free value: the first of the text behind it, a space before an item."""
    if index + 1 == len(pieces):
        return 0
    literal = pieces[index + 1].literal
    return alphabet(literal[0]) if literal else SPACE


def _assemble(pieces: Sequence[Piece], patterns: Sequence[str]) -> tuple[list[str], str]:
    """Join patterns; a key that comes again is read the first time only."""
    keys: list[str] = []
    parts: list[str] = []
    for piece, pattern in zip(pieces, patterns, strict=True):
        is_known = piece.key in keys
        if piece.key and not is_known:
            keys.append(piece.key)
        parts.append(_GROUP.sub("(?:", pattern, count=1) if is_known and piece.key else pattern)
    return keys, "".join(parts)


_GROUP = re.compile(r"(?<!\\)\((?!\?)")
"""The parenthesis that opens the one group of a piece's pattern."""


def _chunks(pieces: Sequence[Piece], patterns: Sequence[str]) -> list[tuple[list[str], re.Pattern[str], str]]:
    """Cut the format at its free values: keys and pattern of what is certain, and the free key behind it."""
    chunks: list[tuple[list[str], re.Pattern[str], str]] = []
    start = 0
    for index, piece in enumerate(pieces):
        if piece.key and piece.shape.is_free:
            keys, pattern = _assemble(pieces[start:index], patterns[start:index])
            quote = '"' if piece.quoted else ""
            if start and pieces[start - 1].quoted:
                pattern = '"' + pattern
            chunks.append((keys, re.compile(pattern + quote, re.DOTALL), piece.key))
            start = index + 1
    keys, pattern = _assemble(pieces[start:], patterns[start:])
    if start and pieces[start - 1].quoted:
        pattern = '"' + pattern
    chunks.append((keys, re.compile(rf"{pattern}{_SPACES}\Z", re.DOTALL), ""))
    return chunks


def _begins(piece: Piece, rest: str) -> bool:
    """Whether what is left of a line may be the beginning of a piece."""
    if not rest or not piece.key:
        return piece.literal.startswith(rest)
    if piece.vanishes or piece.quoted:
        return rest[0] in '{"' and len(rest) <= 8192  # noqa: PLR2004 -- no captured value is longer
    mask = piece.shape.alphabet
    return all(mask >> min(ord(character), 128) & 1 for character in rest)
