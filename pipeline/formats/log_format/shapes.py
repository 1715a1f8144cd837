"""What the characters of a value may be: the ground on which readers and the proof of ambiguity stand."""

from __future__ import annotations

import re
from typing import NamedTuple

OTHER = 128
"""Stands for every character that is not ASCII."""
ANY = (1 << (OTHER + 1)) - 1


def alphabet(characters: str) -> int:
    """Give the set of characters as a mask, one bit per ASCII character."""
    mask = 0
    for character in characters:
        mask |= 1 << min(ord(character), OTHER)
    return mask


def span(first: str, last: str) -> int:
    """Give the characters from one to another, both included."""
    return (1 << (ord(last) + 1)) - (1 << ord(first))


DIGITS = span("0", "9")
LETTERS = span("A", "Z") | span("a", "z")
HEX_DIGITS = DIGITS | span("A", "F")
PRINTABLE = span(" ", "~")
VISIBLE = span("!", "~")
QUOTE, SPACE, HASH = alphabet('"'), alphabet(" "), alphabet("#")


def char_class(mask: int) -> str:
    """Write a set of characters as a class of a regular expression."""
    is_open = bool(mask >> OTHER & 1)
    members = [code for code in range(OTHER) if bool(mask >> code & 1) is not is_open]
    if not members:
        return r"[\s\S]"
    return ("[^" if is_open else "[") + "".join(rf"\x{code:02x}" for code in members) + "]"


class Shape(NamedTuple):
    """The texts that an item may stand for."""

    alphabet: int
    least: int = 0
    """Fewest characters."""
    most: int = 0
    """Most characters, 0 for no end; equal to `least` where the width is fixed."""
    pattern: str = ""
    """A stricter regular expression without groups; empty: any text of the alphabet."""
    escape: bool = False
    """A backslash takes the next character along, whatever it is."""
    is_free: bool = False
    """Not bounded by anything HAProxy does: it may hold the very text that ends it."""
    brackets: str = ""
    """What stands before and behind the alphabet's characters, always."""
    is_list: bool = False
    """Several such texts, a space between."""

    def regex(self) -> str:
        """Write the shape as a regular expression without groups."""
        if self.pattern:
            return self.pattern
        if self.brackets:
            first, last = map(re.escape, self.brackets)
            one = f"{first}{char_class(self.alphabet)}*{last}"
            return f"{one}(?: {one})*" if self.is_list else one
        if self.escape:
            inner = char_class(self.alphabet & ~alphabet("\\"))
            return rf"{inner}*+(?:\\.{inner}*+)*+"
        return f"{char_class(self.alphabet)}{{{self.least},{self.most or ''}}}"


NUMBER = Shape(DIGITS | alphabet("-"), 1, 20, r"-?\d{1,19}")
LOWER_BOUND = Shape(DIGITS | alphabet("+-"), 1, 21, r"\+?-?\d{1,19}")
HEX_NUMBER = Shape(HEX_DIGITS, 1, 16)
MILLISECONDS = Shape(DIGITS, 3, 4, r"\d{3,4}")
HEX_MILLISECONDS = Shape(HEX_DIGITS, 2, 3)
ADDRESS = Shape(DIGITS | span("a", "z") | alphabet(".:-"), 1, 45, r"(?:[0-9a-f.:]{2,45}|[a-z]{3,10}|-)")
PORT = Shape(DIGITS | alphabet('-"'), 1, 10, r"(?:\d{1,10}|-)")
HEX_ADDRESS = Shape(
    HEX_DIGITS | span("a", "z") | alphabet("-"), 1, 32, r"(?:[0-9A-F]{8}(?:[0-9A-F]{24})?|[a-z]{3,10}|-)"
)
HEX_PORT = Shape(HEX_DIGITS | alphabet('-"'), 1, 8, r"(?:[0-9A-F]{1,8}|-)")
_DAY = r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d"
_DATE = DIGITS | LETTERS | alphabet("/:. +-")
DATE = Shape(_DATE, 24, 24, rf"{_DAY}\.\d{{3}}")
ZONED_DATE = Shape(_DATE, 26, 26, rf"{_DAY} [+-]\d{{4}}")
_NAME = DIGITS | LETTERS | alphabet("_.:-<>")
NAME = Shape(_NAME, 1, 256)
TRANSPORT = Shape(_NAME | alphabet("~"), 1, 257)
WORD = Shape(VISIBLE & ~QUOTE, 1, 8192)
TLS = Shape(DIGITS | LETTERS | alphabet("_.()-:+"), 1, 64)
STATE = Shape(LETTERS | alphabet("-"), 2, 2)
STATE_AND_COOKIES = Shape(LETTERS | alphabet("-"), 4, 4, r"[-A-Za-z]{2}[-A-Z7]{2}")
ORIGIN = Shape(span("a", "z") | alphabet("_"), 3, 16)
_ENCODED = PRINTABLE & ~QUOTE
TARGET = Shape(_ENCODED & ~SPACE, 1)
PATH = Shape(_ENCODED & ~SPACE, 0, 0, rf"[/*<]{char_class(_ENCODED & ~SPACE)}*")
QUERY = Shape(_ENCODED & ~SPACE, 0, 0, rf"[?<]{char_class(_ENCODED & ~SPACE)}*")
REQUEST = Shape(_ENCODED, 1)
_HEADER = _ENCODED & ~alphabet("{}")
CAPTURED = Shape(_HEADER, brackets="{}")
QUOTED_LIST = Shape(_HEADER, brackets='""', is_list=True)
FREE = Shape(ANY, 0, is_free=True)
JSON_STRING = Shape(ANY & ~QUOTE, 0, escape=True)
JSON_VALUE = Shape(ANY, 1, 0, r'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?\d{1,19}|true|false|null|\[[^\]]*\])')
HEX_TEXT = Shape(DIGITS | span("A", "F") | span("a", "f") | alphabet("-"), 0)
BASE64 = Shape(DIGITS | LETTERS | alphabet("+/=_-"), 0)
UUID = Shape(DIGITS | span("a", "f") | alphabet("-"), 1, 36)
FLAG_NUMBER = Shape(DIGITS | alphabet("-"), 0, 20, r"(?:-?\d{1,19}|-)?")
