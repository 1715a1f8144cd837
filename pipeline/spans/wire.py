"""PURE: the bytes of OTLP's protobuf messages, as far as spans need them.

Field numbers are those of `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto`. A test reads
everything back with the official classes. Each attribute's name is encoded once, and values that come again
and again are kept with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_ONE_BYTE = 0x80
_SMALL = tuple(bytes([number]) for number in range(_ONE_BYTE))
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 64
_U64 = 2**64 - 1
_LATEST_US = 2**63 // 1000
"""Beyond what signed nanoseconds hold, in the year 2262."""

_KEY, _VALUE = b"\x0a", b"\x12"
_STRING, _BOOL, _INT, _ARRAY = b"\x0a", b"\x10", b"\x18", b"\x2a"
_SPAN_ATTRIBUTE, _EVENT_ATTRIBUTE, _RESOURCE_ATTRIBUTE = b"\x4a", b"\x1a", b"\x0a"
_EVENT, _LINK, _STATUS = b"\x5a", b"\x6a", b"\x7a"
_ERROR_STATUS = _STATUS + b"\x02\x18\x02"

_IDS = struct.Struct("<2s16s2s8s")
_PARENT = struct.Struct("<2s8s")
_TIMES = struct.Struct("<BBBQBQ")
_FLAGS = struct.Struct("<2sI")
_EVENT_TIME = struct.Struct("<BQ")
_KIND_TAG, _START_TAG, _END_TAG, _TIME_TAG = 0x30, 0x39, 0x41, 0x09

SERVER, CLIENT = 2, 3
"""Kinds of spans."""
ERROR = _ERROR_STATUS
"""What a span that failed ends with; the others carry no status, which is `unset`."""
_SAMPLED, _HAS_REMOTE, _IS_REMOTE = 0x1, 0x100, 0x200


def varint(number: int) -> bytes:
    """Write a base-128 number; negative ones as 64-bit two's complement."""
    if 0 <= number < _ONE_BYTE:
        return _SMALL[number]
    number &= _U64
    written = bytearray()
    while number >= _ONE_BYTE:
        written.append(number & 0x7F | _ONE_BYTE)
        number >>= 7
    written.append(number)
    return bytes(written)


def delimited(tag: bytes, body: bytes) -> bytes:
    """Write a field that has a length: a message, a string or bytes."""
    return tag + varint(len(body)) + body


def text(value: str) -> bytes:
    """Encode text; ours has no surrogates, and one that came in otherwise becomes `?`."""
    return value.encode("utf-8", "replace")


class TextKey:
    """An attribute of spans whose value is text."""

    __slots__ = ("_head", "_known", "_length")

    def __init__(self, name: str) -> None:
        self._head = delimited(_KEY, name.encode()) + _VALUE
        self._length = len(self._head)
        self._known: dict[str, bytes] = {}

    def __call__(self, value: str) -> bytes:
        """Write the attribute of a value that hardly comes twice."""
        raw = text(value)
        size = len(raw)
        total = self._length + size + 3
        if total < _ONE_BYTE:
            return b"\x4a%c%b%c\x0a%c%b" % (total, self._head, size + 2, size, raw)
        inner = delimited(_STRING, raw)
        return delimited(_SPAN_ATTRIBUTE, self._head + varint(len(inner)) + inner)

    def often(self, value: str) -> bytes:
        """Write the attribute of a value that comes often."""
        known = self._known.get(value)
        if known is None:
            known = self(value)
            if len(value) <= _LONGEST_REMEMBERED:
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()  # clients choose the values; do not grow for them
                self._known[value] = known
        return known


class IntKey:
    """An attribute of spans whose value is a whole number."""

    __slots__ = ("_head", "_known")

    def __init__(self, name: str) -> None:
        self._head = delimited(_KEY, name.encode()) + _VALUE
        self._known: dict[int, bytes] = {}

    def __call__(self, value: int) -> bytes:
        """Write the attribute."""
        known = self._known.get(value)
        if known is None:
            number = _INT + varint(value)
            known = delimited(_SPAN_ATTRIBUTE, self._head + varint(len(number)) + number)
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[value] = known
        return known


def yes(name: str, *, value: bool = True) -> bytes:
    """Write an attribute of a span that is true or false."""
    inner = _BOOL + _SMALL[value]
    return delimited(_SPAN_ATTRIBUTE, delimited(_KEY, name.encode()) + delimited(_VALUE, inner))


def words(name: str, values: Iterable[str]) -> bytes:
    """Write an attribute of a span that is a list of texts."""
    listed = b"".join(delimited(_KEY, delimited(_STRING, text(value))) for value in values)
    inner = delimited(_ARRAY, listed)
    return delimited(_SPAN_ATTRIBUTE, delimited(_KEY, name.encode()) + delimited(_VALUE, inner))


def span_name(name: str) -> bytes:
    """Write a span's name."""
    return delimited(b"\x2a", text(name))


def event(name: str, time_us: int, attributes: Iterable[tuple[str, int]] = ()) -> bytes:
    """Write an event of a span, with attributes that are whole numbers."""
    time_us, _ = _bounded(time_us, time_us)
    body = _EVENT_TIME.pack(_TIME_TAG, time_us * 1000) + delimited(b"\x12", name.encode())
    for key, value in attributes:
        inner = delimited(_KEY, key.encode()) + delimited(_VALUE, _INT + varint(value))
        body += delimited(_EVENT_ATTRIBUTE, inner)
    return delimited(_EVENT, body)


def link(trace_id: bytes, span_id: bytes) -> bytes:
    """Write a link of a span to another context."""
    return delimited(_LINK, delimited(b"\x0a", trace_id) + delimited(b"\x12", span_id))


def span(  # noqa: PLR0917 -- the fields of a span, in their order on the wire
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes,
    name: bytes,
    kind: int,
    start_us: int,
    end_us: int,
    rest: bytes,
    *,
    is_remote: bool = False,
) -> bytes:
    """Write a span as a field of `ScopeSpans`.

    Args:
        trace_id: 16 bytes.
        span_id: 8 bytes.
        parent_id: 8 bytes, or none for a root.
        name: As `span_name` gives it.
        kind: `SERVER` or `CLIENT`.
        start_us: UTC epoch microseconds.
        end_us: The same. Times that nobody can mean are moved to the next that can be written.
        rest: Attributes, events, links and status, encoded.
        is_remote: Whether the parent is another process's.
    """
    if not 0 <= start_us <= end_us < _LATEST_US:
        start_us, end_us = _bounded(start_us, end_us)
    flags = _SAMPLED | _HAS_REMOTE | (_IS_REMOTE if is_remote else 0)
    body = b"".join(
        (
            _IDS.pack(b"\x0a\x10", trace_id, b"\x12\x08", span_id),
            _PARENT.pack(b"\x22\x08", parent_id) if parent_id else b"",
            name,
            _TIMES.pack(_KIND_TAG, kind, _START_TAG, start_us * 1000, _END_TAG, end_us * 1000),
            rest,
            _FLAGS.pack(b"\x85\x01", flags),
        )
    )
    return delimited(b"\x12", body)


def _bounded(start_us: int, end_us: int) -> tuple[int, int]:
    start_us = min(max(start_us, 0), _LATEST_US - 1)
    return start_us, min(max(end_us, start_us), _LATEST_US - 1)


def resource(attributes: Iterable[tuple[str, str]]) -> bytes:
    """Write a resource as a field of `ResourceSpans`."""
    body = b"".join(
        delimited(
            _RESOURCE_ATTRIBUTE,
            delimited(_KEY, key.encode()) + delimited(_VALUE, delimited(_STRING, text(value))),
        )
        for key, value in attributes
    )
    return delimited(b"\x0a", body)


def scope(name: str, version: str) -> bytes:
    """Write an instrumentation scope as a field of `ScopeSpans`."""
    return delimited(b"\x0a", delimited(b"\x0a", name.encode()) + delimited(b"\x12", version.encode()))


def resource_spans(resource_field: bytes, scope_field: bytes, schema_url: str, spans: list[bytes]) -> bytes:
    """Write the spans of one resource as a field of `ExportTraceServiceRequest`.

    Such fields laid end to end are a whole request: protobuf joins repeated fields.
    """
    url = delimited(b"\x1a", schema_url.encode())
    scoped = delimited(b"\x12", scope_field + b"".join(spans) + url)
    return delimited(b"\x0a", resource_field + scoped + url)
