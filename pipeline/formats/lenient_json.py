"""JSON of unknown quality: what the strict decoders refuse, read as far as it can be.

Invalid UTF-8, lone surrogates, NaN, control characters, endless numbers and duplicate keys (the last
counts) are taken; what is not JSON at all, or nested too deep, is not.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.errors import MalformedLine

_LONGEST_NUMBER = 400


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
    return value if text.isascii() and "\\ud" not in text.lower() else _clean(value)


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
        return value if value.isascii() else _without_surrogates(value)
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value


def _without_surrogates(text: str) -> str:
    """Turn escaped bytes back and show them; surrogates that stand for no byte become `?`."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text.encode(errors="replace").decode(errors="backslashreplace")
