"""From bytes of unknown quality to bounded text."""

from __future__ import annotations

import re
from hashlib import blake2b

LONGEST_FIELD = 8192
"""Characters kept of any one field; HAProxy's and Kong's own limits are below or near it."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def decode(body: bytes) -> tuple[str, bool]:
    r"""Decode bytes; says whether all was UTF-8. What was not stands as `\xNN`."""
    try:
        return body.decode(), True
    except UnicodeDecodeError:
        return body.decode(errors="backslashreplace"), False


def has_control(text: str) -> bool:
    """Whether a terminal or a parser could be fooled by it."""
    return not text.isprintable() and _CONTROL.search(text) is not None


def whole_number(text: str | None) -> int | None:
    """Read what HAProxy logs where a number may be unknown.

    `-`, empty and negative (`-1`, "never reached") are None; a leading `+` (lower bound) is dropped.
    Anything that is not ASCII digits is None: `int()` would take `1_0` and other scripts' digits.
    """
    if not text:
        return None
    digits = text[1:] if text[0] == "+" else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19:  # noqa: PLR2004 -- fits 64 bits
        return None
    return int(digits)


def identity_hash(*parts: str) -> int:
    """Hash raw identity fields to 64 bits, never 0."""
    return int.from_bytes(blake2b("\x1f".join(parts).encode(errors="replace"), digest_size=8).digest()) or 1
