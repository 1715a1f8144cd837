"""What is kept of a parsed record that cannot go on: a dead letter of its fields, which are redacted.

The bytes are gone by then. Instead of the arrival the record's own start is kept, so that the same record gives
the same row again.
"""

from __future__ import annotations

import msgspec

from pipeline.model import DeadLetter, EdgeRecord, GatewayRecord, Source

_LONGEST_BODY = 64 * 1024
_LAST_US = 4_102_444_800_000_000
"""The year 2100: what a store takes for nanoseconds ends in 2262."""


def letter_of_record(record: EdgeRecord | GatewayRecord, reason: str, detail: str) -> DeadLetter:
    """Make the dead letter of a parsed record, whatever its fields hold.

    Args:
        record: An edge or a gateway record.
        reason: From the closed set.
        detail: Where and why, without anything of the record's own.
    """
    is_edge = isinstance(record, EdgeRecord)
    start_us = record.start_us if isinstance(record, EdgeRecord) else record.started_us
    body = _in_json({name: getattr(record, name) for name in record.__struct_fields__})
    return DeadLetter(
        offset=record.offset,
        source=Source.HAPROXY if is_edge else Source.KONG,
        arrival_ns=start_us * 1000 if isinstance(start_us, int) and 0 < start_us < _LAST_US else 0,
        peer=record.node if isinstance(record.node, str) else "",
        reason=reason,
        detail=detail,
        body=body[:_LONGEST_BODY],
        fingerprint="",
        size=len(body),
    )


def _in_json(fields: dict[str, object]) -> str:
    try:
        return msgspec.json.encode(fields).decode()
    except (UnicodeEncodeError, OverflowError, TypeError):
        return repr(fields).encode(errors="backslashreplace").decode()
