"""Records that are kept before the store is asked for their other halves, in a store that others write to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from pipeline.contracts import Fragment, LookupKey
from pipeline.model import EdgeRecord, GatewayRecord, Source
from pipeline.store.connection import Connection, answering
from pipeline.store.lookup import buckets, chunks, condition
from pipeline.store.rows import BUCKETS
from pipeline.store.statements import FORMAT

TABLE = "fragments"
STRUCTURE = (
    "bucket Int64, hash UInt64, source String, request_ids Array(String), gateway_request_ids Array(String), "
    "rec_id UInt64, record String"
)

_encode_record = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines
_decode_edge = msgspec.json.Decoder(EdgeRecord).decode
_decode_attempt = msgspec.json.Decoder(GatewayRecord).decode
_decode_lines = msgspec.json.Decoder(tuple[str, str]).decode_lines


class _Row(msgspec.Struct, array_like=True, gc=False):
    bucket_s: int
    hash: int
    source: str
    request_ids: list[str]
    gateway_request_ids: list[str]
    rec_id: int
    record: str


def insert_statement(source: str) -> str:
    """Give the INSERT that takes sent rows from a table function."""
    names = "bucket, hash, source, request_ids, gateway_request_ids, rec_id, record"
    values = names.replace("bucket", "toDateTime(bucket, 'UTC')", 1)
    return f"INSERT INTO {TABLE} ({names}) SELECT {values} FROM {source}"  # noqa: S608 -- our names


def encode_fragments(fragments: Iterable[Fragment]) -> bytes:
    """Write fragments as lines that the statement takes; those that no row can hold are left out."""
    rows = []
    for fragment in fragments:
        try:
            rows.append(_row(fragment))
        except (ValueError, OverflowError, TypeError):
            continue  # nor will the store take its lineage: that tells of it
    return _encode_lines(rows)


def _row(fragment: Fragment) -> _Row:
    record = fragment.record
    if fragment.bucket_s not in BUCKETS:
        raise ValueError("the bucket is before 1970 or after 2106")
    packed = _encode_record(record)
    digest = hashlib.blake2b(packed, digest_size=8).digest()
    if isinstance(record, EdgeRecord):
        source, name, request_ids = Source.HAPROXY, record.rec_id, [record.request_id]
    else:
        source, name, request_ids = Source.KONG, record.attempt_id, [*record.request_ids]
    gateway_ids = [record.gateway_request_id] if record.gateway_request_id else []
    text = packed.decode()
    return _Row(
        fragment.bucket_s, int.from_bytes(digest, "big"), source, request_ids, gateway_ids, name, text
    )


def find_fragments(
    connection: Connection, keys: Sequence[LookupKey], most_per_id: int
) -> list[EdgeRecord | GatewayRecord]:
    """Give the records that were kept under an id or name of any of the keys; a bounded number of each id.

    Raises:
        StoreUnavailable: The store did not answer.
    """
    found: dict[str, EdgeRecord | GatewayRecord] = {}
    for chunk in chunks([key for key in keys if key.request_ids or key.gateway_request_ids or key.rec_ids]):
        near, shares = buckets(chunk), condition(chunk)
        query = (
            "SELECT source, record FROM (SELECT source, record, "  # noqa: S608 -- values are parameters
            f"arrayJoin({shares.shared}) AS shared FROM {TABLE} WHERE {near.text} AND ({shares.text})) "
            "LIMIT {most:UInt64} BY shared"
        )
        parameters = near.parameters | shares.parameters | {"most": most_per_id}
        with answering():
            lines = connection.client.raw_query(query, parameters=parameters, fmt=FORMAT)
        for source, record in _decode_lines(lines):
            decode = _decode_edge if source == Source.HAPROXY.value else _decode_attempt
            found[record] = decode(record)
    return list(found.values())
