"""PURE: which rows that are encoded already can be found by an id."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from pipeline.model import Lineage
from pipeline.store.rows import Row, decode_sent


class _Edge(msgspec.Struct, gc=False, array_like=True):
    """The beginning of an `EdgeRecord`."""

    rec_id: int
    offset: msgspec.Raw
    request_id: str
    start_us: msgspec.Raw
    gateway_request_id: str | None


class _Attempt(msgspec.Struct, gc=False, array_like=True):
    """The beginning of a `GatewayRecord`."""

    attempt_id: msgspec.Raw
    offset: msgspec.Raw
    request_ids: list[str]
    started_us: msgspec.Raw
    gateway_request_id: str | None


_READ = {"request_id": str, "rec_id": int, "edge": _Edge | None, "attempts": list[_Attempt]}
_FIELDS = [(name, _READ.get(name, msgspec.Raw)) for name in Row.__struct_fields__]
_decode = msgspec.json.Decoder(msgspec.defstruct("_Sent", _FIELDS, gc=False, array_like=True)).decode


def decode_sharing(lines: bytes, ids: AbstractSet[str | int]) -> list[Lineage]:
    """Read, of the lines that `encode_lineages` gives, those that can be found by any of some ids.

    Of all others no more is read than their ids.
    """
    found = [line for line in lines.splitlines() if not ids.isdisjoint(filter(None, _ids(line)))]
    return decode_sent(b"\n".join(found))


def _ids(line: bytes) -> Iterator[str | int | None]:
    """Give what `Lineage.ids` gives, and blanks."""
    row: Any = _decode(line)
    yield row.rec_id
    yield row.request_id
    if row.edge is not None:
        yield row.edge.gateway_request_id
    for attempt in row.attempts:
        yield from attempt.request_ids
        yield attempt.gateway_request_id
