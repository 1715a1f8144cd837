"""PURE: what is kept of a lineage that the store refuses: one dead letter for each of its records."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pipeline.model import DeadLetter, EdgeRecord, GatewayRecord, Lineage, Source

REASON = "refused_by_store"
_LONGEST_BODY = 64 * 1024


def dead_letters_of(lineage: Lineage, detail: str) -> Iterator[DeadLetter]:
    """Give a dead letter for each record of a lineage.

    The bytes are gone by now: the body is the parsed record, which is redacted; instead of the arrival the
    record's own start is kept, so that the same record gives the same row again.
    """
    if lineage.edge is not None:
        yield _dead_letter(Source.HAPROXY, lineage.edge, lineage.edge.start_us, detail)
    for attempt in lineage.attempts:
        yield _dead_letter(Source.KONG, attempt, attempt.started_us, detail)


def _dead_letter(
    source: Source, record: EdgeRecord | GatewayRecord, start_us: int, detail: str
) -> DeadLetter:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    body = _in_json(fields)
    return DeadLetter(
        offset=record.offset,
        source=source,
        arrival_ns=start_us * 1000,
        peer=record.node or "",
        reason=REASON,
        detail=detail,
        body=body[:_LONGEST_BODY],
        fingerprint="",
        size=len(body),
    )


def _in_json(fields: dict[str, object]) -> str:
    try:
        return msgspec.json.encode(fields).decode()
    except (UnicodeEncodeError, OverflowError):
        return repr(fields).encode(errors="backslashreplace").decode()
