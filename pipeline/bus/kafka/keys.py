"""Which partition a record belongs to: the same for both halves of a request.  PURE, and without memory.

The key is the request id; of a list of ids the last, which the edge added. An id that is missing, a constant, or
too long is no key: then the gateway request id is (what Kong made and the edge captured), and where there is
none either, the bytes themselves. Two ingest processes never talk, so nothing learnt may have a say here: an
id that turns out to be shared by strangers still has all its records in one partition, where the join knows it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats.envelope import is_header
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.lenient_json import REFUSED
from pipeline.formats.redact import Redactor
from pipeline.formats.sealed import Unsealer
from pipeline.join.ids import can_be_joined_on
from pipeline.model import EdgeRecord, GatewayRecord, Source

LONGEST_ID = 256
"""Characters that the parsers keep of an id; one that is as long may have been cut, and is no key."""
_OURS = b'{"v":"hap-'
_LONGEST_HEADER = 512
_SEALED = b'{"hoptrail":1,'


class _Line(msgspec.Struct, gc=False):
    id: str = ""
    kong_rid: str = ""


class _Headers(msgspec.Struct, gc=False):
    x_request_id: str | list[str] | None = msgspec.field(default=None, name="x-request-id")


class _Request(msgspec.Struct, gc=False):
    id: str = ""
    headers: _Headers | None = None


class _Entry(msgspec.Struct, gc=False):
    request: _Request | None = None
    correlation_id: str | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_entry = msgspec.json.Decoder(_Entry).decode


def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition of a key: CRC-32 (ISO 3309), modulo the number of partitions."""
    return zlib.crc32(key) % partitions


def key_of(request_ids: Sequence[str], gateway_request_id: str | None) -> bytes:
    """Choose the key; empty where there is none.

    Args:
        request_ids: Those a record carries, in logged order.
        gateway_request_id: Kong's own.
    """
    request_id = request_ids[-1] if request_ids else ""
    if len(request_id) < LONGEST_ID and can_be_joined_on(request_id):
        return b"a" + request_id.encode(errors="replace")
    if gateway_request_id and gateway_request_id != "-":
        return gateway_key(gateway_request_id)
    return b""


def gateway_key(gateway_request_id: str) -> bytes:
    """Give the key that a gateway request id is; nobody's request id is the same."""
    return b"b" + gateway_request_id[:LONGEST_ID].encode(errors="replace")


def key_of_record(record: EdgeRecord | GatewayRecord) -> bytes:
    """Choose the key of a record that has been read."""
    if isinstance(record, EdgeRecord):
        return key_of((record.request_id,), record.gateway_request_id)
    return key_of(record.request_ids, record.gateway_request_id)


class Keyer:
    """Finds keys in raw records. It looks at no more of a record than it must.

    Args:
        haproxy: Reads lines of other formats than the recommended one; of the caller's thread alone.
    """

    def __init__(self, haproxy: HaproxyParser, redactor: Redactor) -> None:
        self._redactor = redactor
        self._parsers = {
            Source.HAPROXY: Unsealer(haproxy),
            Source.KONG: Unsealer(KongParser(redactor=redactor)),
        }

    def partition(self, source: Source, body: bytes, partitions: int) -> int:
        """Give the partition of a record; never raises."""
        key = self.key(source, body) or body[:4096]
        return zlib.crc32(key) % partitions

    def key(self, source: Source, body: bytes) -> bytes:
        """Give the key of a record; empty where it has none."""
        try:
            if body.startswith(_SEALED):
                return self._slow(source, body)
            return self._line(body) if source is Source.HAPROXY else self._entry(body)
        except REFUSED:
            return self._slow(source, body)

    def _line(self, body: bytes) -> bytes:
        at = body.find(_OURS, 0, _LONGEST_HEADER)
        if at < 0 or not is_header(body, at):
            return self._slow(Source.HAPROXY, body)
        line = _decode_line(body[at:] if at else body)
        return key_of((self._plain(line.id),), line.kong_rid)

    def _entry(self, body: bytes) -> bytes:
        entry = _decode_entry(body)
        request = entry.request
        if request is None:
            return b""
        sent = request.headers.x_request_id if request.headers else None
        ids = [sent] if isinstance(sent, str) else sent or []
        ids = [each for each in ids if each] or [entry.correlation_id or ""]
        return key_of((self._plain(ids[-1]),), request.id) if request.id else self._slow(Source.KONG, body)

    def _slow(self, source: Source, body: bytes) -> bytes:
        """Read the record as the join will."""
        try:
            record = self._parsers[source].parse(body, offset=0, arrival_ns=0, peer="")
        except MalformedLine:
            return b""
        return key_of_record(record) if isinstance(record, EdgeRecord | GatewayRecord) else b""

    def _plain(self, request_id: str) -> str:
        """Write an id as the parsers do, so that a record read and one looked at have the same key."""
        return "" if request_id in {"", "-"} else self._redactor.identifier(request_id[:LONGEST_ID])
