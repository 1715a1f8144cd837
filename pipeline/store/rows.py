"""Lineages as the rows that are sent."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from pipeline.model import EdgeRecord, GatewayRecord, Identity, Lineage, SpanRecord, Verdict
from pipeline.store.columns import ROW

BUCKETS = range(2**32)
"""Seconds that a `DateTime` holds, up to the year 2106."""

_ROW = attrgetter(*(column.field for column in ROW), "edge", "attempts")
_encode_lines = msgspec.json.Encoder().encode_lines


class Row(msgspec.Struct, gc=False, array_like=True):
    """What a row carries, in the order of `columns.ROW`; behind it the records."""

    bucket_s: int
    request_id: str
    rec_id: int
    rev: int
    is_deleted: bool
    outcome: str
    match: str
    missing: str | None
    final: bool
    delivered: int | None
    trace_id: str | None
    trace_id_source: str | None
    identity_kind: str
    consumer_id: str | None
    consumer_name: str | None
    custom_id: str | None
    credential_id: str | None
    subject: str | None
    proof: str | None
    verdict_domain: str
    verdict_code: str
    verdict_text: str
    flags: tuple[str, ...]
    clock_offset_ms: float | None
    span_decision: str | None
    spans_sent: int
    span_parent_id: str | None
    edge: EdgeRecord | None
    attempts: tuple[GatewayRecord, ...]

    def lineage(self) -> Lineage:
        """Give the lineage that it carries."""
        return Lineage(
            bucket_s=self.bucket_s,
            request_id=self.request_id,
            rec_id=self.rec_id,
            rev=self.rev,
            outcome=self.outcome,
            match=self.match,
            missing=self.missing,
            final=self.final,
            edge=self.edge,
            attempts=self.attempts,
            delivered=self.delivered,
            trace_id=self.trace_id,
            trace_id_source=self.trace_id_source,
            identity=Identity(
                kind=self.identity_kind,
                consumer_id=self.consumer_id,
                consumer_name=self.consumer_name,
                custom_id=self.custom_id,
                credential_id=self.credential_id,
                subject=self.subject,
                proof=self.proof,
            ),
            verdict=Verdict(self.verdict_domain, self.verdict_code, self.verdict_text),
            flags=self.flags,
            clock_offset_ms=self.clock_offset_ms,
            is_deleted=self.is_deleted,
            spans=SpanRecord(self.span_decision, self.spans_sent, self.span_parent_id),
        )


_decode_lines = msgspec.json.Decoder(Row).decode_lines


def encode_lineages(lineages: Sequence[Lineage]) -> bytes:
    """Write lineages as the lines of `JSONCompactEachRow` that `statements.insert_statement` takes.

    Raises:
        ValueError: A bucket that no row can have, or text that JSON cannot carry (a surrogate).
    """
    for lineage in lineages:
        if lineage.bucket_s not in BUCKETS:
            raise ValueError(f"bucket {lineage.bucket_s} is before 1970 or after 2106")
    return _encode_lines(list(map(_ROW, lineages)))


def decode_sent(lines: bytes) -> list[Lineage]:
    """Read the lines that `encode_lineages` gives."""
    return [row.lineage() for row in _decode_lines(lines)]
