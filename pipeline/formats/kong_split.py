"""Splits an http-log body into entries, bytes verbatim, so that each is kept, read and counted alone."""

from __future__ import annotations

import re

import msgspec

from pipeline.errors import MalformedLine

_decode_many = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_one = msgspec.json.Decoder(msgspec.Raw).decode
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_OPEN, _CLOSE = b"[{", b"]}"


def split_body(body: bytes) -> list[bytes]:
    """Split one body: an object, an array, or objects one behind another (newline-separated).

    The strict decoder finds the borders where it can; where it refuses (invalid UTF-8, NaN, …) they are found
    by brackets and strings alone, so that a broken entry costs none of its neighbours.

    Raises:
        MalformedLine: `not_splittable`: no JSON object or array begins it, or it ends in the middle of one.
    """
    body = body.strip(b" \t\r\n\x00")
    if not body:
        return []
    try:
        if body[:1] == b"[":
            return [bytes(entry) for entry in _decode_many(body)]
        return [bytes(_decode_one(body))]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _split_by_brackets(body)


def _split_by_brackets(body: bytes) -> list[bytes]:
    if body[:1] == b"[":
        return _split_array(body)
    if body[:1] == b"{":
        return _split_objects(body)
    raise MalformedLine("not_splittable", "begins with neither [ nor {")


def _split_array(body: bytes) -> list[bytes]:
    entries: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKEN.finditer(body):
        first = token[0][:1]
        if first in _OPEN:
            depth += 1
        elif first in _CLOSE:
            depth -= 1
        ends = first == b"," and depth == 1
        if ends or depth == 0:
            entries.append(body[start : token.start()].strip())
            start = token.end()
        if depth == 0:
            return [entry for entry in entries if entry]
    raise MalformedLine("not_splittable", "the array does not end")


def _split_objects(body: bytes) -> list[bytes]:
    entries: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(body):
        first = token[0][:1]
        if first in _OPEN:
            start = token.start() if depth == 0 else start
            depth += 1
        elif first in _CLOSE:
            depth -= 1
            if depth == 0:
                entries.append(body[start : token.end()])
    if depth != 0 or not entries:
        raise MalformedLine("not_splittable", "ends in the middle of an entry")
    return entries
