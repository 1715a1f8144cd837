"""Splits an http-log body into entries, bytes verbatim, so that each is kept, read and counted alone."""

from __future__ import annotations

import json
import re

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats.lenient_json import REFUSED

_decode_many = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_one = msgspec.json.Decoder(msgspec.Raw).decode
_WHITE = b" \t\r\n\x00"


def split_body(body: bytes) -> list[bytes]:
    """Split one body: an object, an array, or objects one behind another (newline-separated).

    The strict decoder finds the borders where it can. Where it refuses (invalid UTF-8, NaN, what is no JSON at
    all, …) entries are found one by one, and a broken one costs none of its neighbours: it becomes an entry
    too, to be dead-lettered with its reason.

    Raises:
        MalformedLine: `not_splittable`: neither an object nor an array begins it.
    """
    body = body.strip(_WHITE)
    if not body:
        return []
    first = body[:1]
    try:
        if first == b"[":
            return [bytes(entry) for entry in _decode_many(body)]
        if first == b"{":
            return [bytes(_decode_one(body))]
    except REFUSED:
        return _Splitter(body).entries()
    raise MalformedLine("not_splittable", "begins with neither [ nor {")


_scan = json.JSONDecoder(strict=False).raw_decode
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)
_BETWEEN = re.compile(r"[\s,\x00]*+")
_CLOSING = {"]": "[", "}": "{"}
_AGAIN = re.compile(r'(?<=[,\n\]}])\s{0,8}(?=\{\s{0,8}")')
_ENTRY_KEYS = frozenset({"request", "started_at", "session", "latencies"})
_MOST_ATTEMPTS = 64
"""Places tried to find the next entry behind a broken one: each may cost a look at all that is left."""


class _Splitter:
    """A body that is not JSON as a whole. Bytes are looked at as Latin-1, so that places stay places."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._text = body.decode("latin-1")
        self._attempts = 0
        self._in_array = False

    def entries(self) -> list[bytes]:
        """Give what stands between the commas and line ends."""
        found: list[bytes] = []
        position = self._skip(0)
        while position < len(self._text):
            end = self._end(position)
            entry = self._body[position:end].strip(_WHITE + b",")
            if entry:
                found.append(entry)
            position = self._skip(end)
        return found

    def _skip(self, position: int) -> int:
        """Pass over what separates entries, and over the brackets of an array around them."""
        while position < len(self._text):
            found = _BETWEEN.match(self._text, position)
            position = found.end() if found else position
            bracket = self._text[position : position + 1]
            if bracket != ("]" if self._in_array else "["):
                return position
            self._in_array = not self._in_array
            position += 1
        return position

    def _end(self, position: int) -> int:
        """Find the end of the entry that begins here."""
        end = self._whole(position)
        if end is None and self._text[position] in "[{":
            end = self._balanced(position)
        return self._next(position) if end is None else end

    def _whole(self, position: int) -> int | None:
        try:
            end = _scan(self._text, position)[1]
        except (ValueError, RecursionError):
            return None
        return end if self._is_border(end) else None

    def _balanced(self, position: int) -> int | None:
        """Find the bracket that closes the one here, by brackets and strings alone."""
        open_brackets: list[str] = []
        for token in _TOKEN.finditer(self._text, position):
            mark = token[0]
            if mark in "[{":
                open_brackets.append(mark)
            elif mark == '"':
                return None  # a string that does not end
            elif mark in "]}":
                if open_brackets.pop() != _CLOSING[mark]:
                    return None
                if not open_brackets:
                    return token.end() if self._is_border(token.end()) else None
        return None

    def _is_border(self, position: int) -> bool:
        rest = self._text[position : position + 64]
        behind = rest.lstrip()
        return not behind or behind[0] in ",]" or "\n" in rest[: len(rest) - len(behind)]

    def _next(self, position: int) -> int:
        """Find where an entry begins again; the inner objects of a broken one are not taken for entries."""
        for candidate in _AGAIN.finditer(self._text, position + 1):
            self._attempts += 1
            if self._attempts > _MOST_ATTEMPTS:
                break
            try:
                value, end = _scan(self._text, candidate.end())
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and not _ENTRY_KEYS.isdisjoint(value) and self._is_border(end):
                return candidate.start()
        return len(self._text)
