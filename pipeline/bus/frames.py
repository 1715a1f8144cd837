r"""How a delivery lies in a segment file.

PURE: bytes in, values out.

A segment begins with a head: `HTJRNL1\n`, 16 bytes of salt, the offset of its first record (u64). Frames
follow without gaps, one a delivery, all integers little-endian:

    magic 4s | crc u32 | payload bytes u32 | records u32 | offset u64 | arrival_ns i64 | number u64
    | source u8 | sealed u8 | peer bytes u16

then the payload: peer, one u32 length per record, the records. The crc covers everything after itself. A
sealed payload is encrypted as a whole, with the head from `payload bytes` on bound to it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

from cryptography.exceptions import InvalidTag

from pipeline.bus.cipher import SALT_BYTES, TAG_BYTES, Cipher
from pipeline.model import Delivery, Source

_SEGMENT = struct.Struct(f"<8s{SALT_BYTES}sQ")
_SEGMENT_MAGIC = b"HTJRNL1\n"
SEGMENT_HEAD_BYTES = _SEGMENT.size

_START = struct.Struct("<4sI")
_REST = struct.Struct("<IIQqQBBH")
_MAGIC = b"HTF1"
HEAD_BYTES = _START.size + _REST.size
_LENGTH_BYTES = 4
_CODES = {Source.HAPROXY: 1, Source.KONG: 2}
_SOURCES = {code: source for source, code in _CODES.items()}
_LONGEST_PEER = 255
_CRC_STEP = 4096
"""zlib gives up the GIL for more than 5 KiB, and getting it back from a busy parser takes milliseconds."""


class Damaged(Exception):  # noqa: N818 -- says what is the case
    """A frame is not what was written: torn by a power cut, or altered since."""


class Head(NamedTuple):
    """What is known of a frame without its payload."""

    crc: int
    payload_bytes: int
    records: int
    offset: int
    arrival_ns: int
    number: int
    source: Source
    sealed: bool
    peer_bytes: int

    @property
    def frame_bytes(self) -> int:
        """Size of the whole frame."""
        return HEAD_BYTES + self.payload_bytes

    @property
    def end(self) -> int:
        """Offset after its last record."""
        return self.offset + self.records


def segment_head(salt: bytes, first: int) -> bytes:
    """Write the head of a segment whose first record has the offset `first`."""
    return _SEGMENT.pack(_SEGMENT_MAGIC, salt, first)


def read_segment_head(data: bytes) -> bytes | None:
    """Give the salt, or None where it is not the head of a segment."""
    if len(data) < SEGMENT_HEAD_BYTES:
        return None
    magic, salt, _ = _SEGMENT.unpack_from(data)
    return bytes(salt) if magic == _SEGMENT_MAGIC else None


def frame_bytes(delivery: Delivery, *, sealed: bool) -> int:
    """Give an upper bound of the frame's size, without making it."""
    bodies = delivery.bodies
    head = HEAD_BYTES + _LONGEST_PEER + TAG_BYTES * sealed
    return head + _LENGTH_BYTES * len(bodies) + sum(map(len, bodies))


def encode(delivery: Delivery, offset: int, number: int, cipher: Cipher | None) -> tuple[bytes, bytes]:
    """Write a frame: head and payload, to be laid one after the other.

    Args:
        delivery: Not empty.
        offset: Of its first record.
        number: Never used before in this segment.
        cipher: Seals the payload where given.
    """
    bodies = delivery.bodies
    peer = delivery.peer.encode("utf-8", "replace")[:_LONGEST_PEER]
    lengths = struct.pack(f"<{len(bodies)}I", *map(len, bodies))
    payload = b"".join((peer, lengths, *bodies))
    size = len(payload) + TAG_BYTES * (cipher is not None)
    code, sealed = _CODES[delivery.source], cipher is not None
    rest = _REST.pack(size, len(bodies), offset, delivery.arrival_ns, number, code, sealed, len(peer))
    if cipher is not None:
        payload = cipher.seal(number, payload, rest)
    return _START.pack(_MAGIC, _crc(memoryview(payload), crc32(rest))) + rest, payload


def read_head(data: bytes, at: int) -> Head | None:
    """Read the head of the frame at `at`; None where there is none, or not all of it."""
    if len(data) - at < HEAD_BYTES:
        return None
    magic, crc = _START.unpack_from(data, at)
    if magic != _MAGIC:
        return None
    size, count, offset, arrival_ns, number, code, sealed, peer_bytes = _REST.unpack_from(
        data, at + _START.size
    )
    source = _SOURCES.get(code)
    if source is None or not count:
        return None
    return Head(crc, size, count, offset, arrival_ns, number, source, bool(sealed), peer_bytes)


def is_whole(data: bytes, at: int, head: Head) -> bool:
    """Whether the frame at `at` is what was written."""
    end = at + head.frame_bytes
    return len(data) >= end and _crc(memoryview(data)[at + _START.size : end], 0) == head.crc


def decode(data: bytes, at: int, head: Head, cipher: Cipher | None) -> Delivery:
    """Read the frame at `at`.

    Raises:
        Damaged: It is not what was written, or is sealed under another key.
    """
    if not is_whole(data, at, head):
        raise Damaged
    start, end = at + HEAD_BYTES, at + head.frame_bytes
    if head.sealed:
        data = _opened(data[start:end], data[at + _START.size : start], head, cipher)
        start = 0
    first_length = start + head.peer_bytes
    lengths = struct.unpack_from(f"<{head.records}I", data, first_length)
    bodies, position = [], first_length + _LENGTH_BYTES * head.records
    for length in lengths:
        bodies.append(data[position : position + length])
        position += length
    peer = data[start:first_length].decode("utf-8", "replace")
    return Delivery(head.source, bodies, head.arrival_ns, peer, head.offset)


def _opened(payload: bytes, rest: bytes, head: Head, cipher: Cipher | None) -> bytes:
    if cipher is None:
        raise Damaged
    try:
        return cipher.open(head.number, payload, rest)
    except InvalidTag as error:
        raise Damaged from error


def _crc(view: memoryview, crc: int) -> int:
    for at in range(0, len(view), _CRC_STEP):
        crc = crc32(view[at : at + _CRC_STEP], crc)
    return crc
