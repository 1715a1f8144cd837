"""PURE: what was logged, made harmless for whoever looks at it: terminals, JSON readers, spreadsheets."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"[\s\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]")
_HARMLESS = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?|-[A-Za-z-]{0,3}")
"""Numbers, and HAProxy's termination states (`----`, `-R--`): four such letters make no formula."""
_LONG = 100
"""Limit from which a cut says how long the whole is."""
_UNESCAPED = re.compile(r"[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def printable(text: str, limit: int = 0) -> str:
    r"""Show what a terminal might obey (control, bidirectional, invisible characters) as `\x1b`, `\u202e`.

    Args:
        text: Anything.
        limit: Characters after which it is cut, and says so; 0 for none.
    """
    cut = text[:limit] if limit and len(text) > limit else text
    if not cut.isprintable():
        cut = "".join(char if char.isprintable() else _escaped(char) for char in cut)
    if not limit or len(text) <= limit:
        return cut
    return f"{cut}… ({len(text)} characters)" if limit >= _LONG else f"{cut}…"


def defused(text: str) -> str:
    """Keep a spreadsheet from taking a cell for a formula: what could be one gets an apostrophe in front.

    Numbers (`-1`) and termination states (`----`) are left as they are.
    """
    shown = printable(text)
    return f"'{shown}" if _FORMULA.match(text) and not _HARMLESS.fullmatch(text) else shown


def escaped_json(text: str) -> str:
    r"""Write as `\uXXXX` what a JSON encoder leaves as it is and a terminal may obey.

    Such characters stand inside of strings only, so that the value is the same.
    """
    return _UNESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:  # noqa: PLR2004 -- one byte
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 -- the first plane
