"""JSON of unknown quality: what the strict decoders refuse, read as far as it can be.

Invalid UTF-8, lone surrogates, NaN, control characters, endless numbers and duplicate keys (the last
counts) are taken; what is not JSON at all, or nested too deep, is not.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from pipeline.errors import MalformedLine

REFUSED = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What the strict decoders raise for bytes that are to be read leniently."""
_LONGEST_NUMBER = 400
_LONGEST_TEXT = 16_384
"""Characters of odd text that are looked at; longer than any field that is kept."""
_DEEPEST = 200
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{\]},"]', re.DOTALL)


def load_object(text: str | bytes) -> dict[str, Any] | None:
    """Read a JSON object; None where it is not one."""
    try:
        return load_lenient(text)
    except MalformedLine:
        return None


def load_lenient(text: str | bytes) -> dict[str, Any]:
    r"""Read a JSON object. Bytes that are not UTF-8 stand as `\xNN` in its strings.

    Raises:
        MalformedLine: `not_json`, `not_an_object` or `too_deep`.
    """
    if isinstance(text, bytes):
        text = text.decode(errors="surrogateescape")
    try:
        value = json.loads(text, strict=False, parse_int=_integer, parse_float=_float)
    except RecursionError as error:
        raise MalformedLine("too_deep", "nested deeper than any log entry is") from error
    except ValueError as error:
        raise MalformedLine("not_json", _place(error)) from error
    if not isinstance(value, dict):
        raise MalformedLine("not_an_object", f"the JSON is a {type(value).__name__}")
    try:
        return value if text.isascii() and "\\ud" not in text.lower() else _clean(value)
    except RecursionError as error:
        raise MalformedLine("too_deep", "nested deeper than any log entry is") from error


def mend(text: str) -> str | None:
    """Close JSON that was cut off (`len` of a log line): what is whole stays, a member cut in two goes.

    None where not even the first member is whole, or where it does not look cut off.
    """
    closing: list[str] = []
    keep: tuple[int, str] | None = None
    for found in _TOKEN.finditer(text):
        mark = found[0]
        if mark == '"':
            break  # the string that was cut in two
        if mark in "[{":
            closing.append("]" if mark == "[" else "}")
            if len(closing) > _DEEPEST:
                return None
        elif mark in "]}":
            if not closing or closing.pop() != mark or not closing:
                return None  # not JSON, or not cut off
        elif mark == ",":
            keep = found.start(), "".join(reversed(closing))
    return None if keep is None else text[: keep[0]] + keep[1]


def _place(error: ValueError) -> str:
    """Say where, without the text itself: it may hold secrets."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return type(error).__name__


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else _float(digits)  # noqa: PLR2004 -- longer ones do not fit 64 bits


def _float(digits: str) -> float:
    return float(digits[:_LONGEST_NUMBER])


def _clean(value: Any) -> Any:  # noqa: ANN401 -- whatever JSON holds
    if isinstance(value, str):
        return without_surrogates(value[:_LONGEST_TEXT] if len(value) > _LONGEST_TEXT else value)
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value


def without_surrogates(text: str) -> str:
    r"""Show escaped bytes as `\xNN`; surrogates that stand for no byte become U+FFFD."""
    if text.isascii():
        return text
    text = _ESCAPED_BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)
    return _SURROGATE.sub("\ufffd", text)


_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
