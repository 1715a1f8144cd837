"""The account of one topic's partition, as the text that is committed with its offset.  PURE.

Kafka keeps up to 4,096 bytes of text beside a committed offset and writes both in one record. So the counts change
with the commit or not at all, go with the partition to whoever has it next, and their sum over all
partitions is the account of all processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from pipeline.model import Outcome, OutcomeKind, Source

_VERSION = 1
_MOST_BYTES = 4000
"""Kafka's `offset.metadata.max.bytes` is 4,096 unless told."""
_OTHER = "other"


class _Line(msgspec.Struct, array_like=True):
    kind: OutcomeKind
    reason: str
    count: int


class _Text(msgspec.Struct):
    v: int
    o: list[_Line]
    r: int = -1
    g: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Text).decode


class Kept(NamedTuple):
    """What is committed beside an offset."""

    counts: Counter[Outcome]
    """What became of the records before it."""
    read: int = -1
    """The offset up to which the committer had read; -1: unknown."""
    gone: int = 0
    """Messages before it that retention removed and nobody had read."""


def write_kept(counts: Mapping[Outcome, int], read: int, gone: int = 0) -> str:
    """Write what became of the records of one topic's partition, and how far it was read; at most 4,000 bytes.

    `gone` is in no account: how many records a message held is known to nobody who has not read it.
    Were there ever more reasons than that holds, the rarest are counted together as `other`.
    """
    sums = {(left.kind, left.reason): count for left, count in counts.items() if count}
    while len(text := _write(sums, read, gone)) > _MOST_BYTES:
        kind, reason = min((key for key in sums if key[1] != _OTHER), key=lambda key: (sums[key], key))
        count = sums.pop((kind, reason))
        sums[kind, _OTHER] = sums.get((kind, _OTHER), 0) + count
    return text.decode()


def _write(sums: Mapping[tuple[OutcomeKind, str], int], read: int, gone: int) -> bytes:
    lines = [_Line(kind, reason, count) for (kind, reason), count in sums.items()]
    return _encode(_Text(_VERSION, lines, read, gone))


def read_kept(source: Source, text: str) -> Kept:
    """Read them back.

    Raises:
        ValueError: It is not such a text.
    """
    if not text:
        return Kept(Counter())
    try:
        found = _decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError("what is committed beside the offset is not an account of ours") from error
    if found.v != _VERSION:
        raise ValueError(f"an account of version {found.v}; this program reads version {_VERSION}")
    counts: Counter[Outcome] = Counter()
    for line in found.o:
        counts[Outcome(source, line.kind, line.reason)] += line.count
    return Kept(counts, found.r, found.g)
