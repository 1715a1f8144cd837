"""From bytes of unknown quality to bounded text."""

from __future__ import annotations

from hashlib import blake2b

LONGEST_FIELD = 8192
"""Characters kept of any one field; HAProxy's and Kong's own limits are below or near it."""
LARGEST = (1 << 53) - 1
"""Largest count or size: what JSON can carry exactly."""
LARGEST_PORT = 65_535
LARGEST_PID = (1 << 32) - 1
LARGEST_STATUS = 999
LARGEST_COUNT = (1 << 31) - 1

_CONTROL = frozenset(map(chr, (*range(32), 127)))


def decode(body: bytes) -> tuple[str, bool]:
    r"""Decode bytes; says whether all was UTF-8. What was not stands as `\xNN`."""
    try:
        return body.decode(), True
    except UnicodeDecodeError:
        return body.decode(errors="backslashreplace"), False


def has_control(text: str) -> bool:
    """Whether a terminal or a parser could be fooled by it."""
    return not text.isprintable() and not _CONTROL.isdisjoint(text)


def whole_number(text: str | None, most: int = LARGEST) -> int | None:
    """Read what HAProxy logs where a number may be unknown.

    `-`, empty and negative (`-1`, "never reached") are None; a leading `+` (lower bound) is dropped.
    Anything that is not ASCII digits is None: `int()` would take `1_0` and other scripts' digits. So is
    what is above `most`, which no HAProxy writes and no column would hold.
    """
    number = _SMALL.get(text)  # nearly all of them, at a third of the cost
    if number is not None:
        return number
    if not text:
        return None
    digits = text[1:] if text[0] == "+" else text
    if not digits.isdigit() or not digits.isascii() or len(digits) > 19:  # noqa: PLR2004 -- of 64 bits
        return None
    number = int(digits)
    return number if number <= most else None


def identity_hash(*parts: str) -> int:
    """Hash raw identity fields to 64 bits, never 0."""
    return joined_hash("\x1f".join(parts))


def joined_hash(text: str) -> int:
    """Hash identity fields that are joined by the unit separator already."""
    state = _new_hash()  # cheaper than one with its arguments
    try:
        state.update(text.encode())
    except UnicodeEncodeError:  # surrogates: of a line that was read leniently
        state.update(text.encode(errors="replace"))
    return _to_number(state.digest()) or 1


_new_hash = blake2b(digest_size=8).copy
_to_number = int.from_bytes
_SMALL: dict[str | None, int] = {str(number): number for number in range(1000)}
"""Numbers below the least `most` that is asked for."""


class _Numbers(dict[str | None, int | None]):
    def __missing__(self, text: str | None) -> int | None:
        return whole_number(text)


NUMBERS = _Numbers({**_SMALL, None: None})
"""`NUMBERS[text]` is `whole_number(text)` at half the cost; it does not grow."""
