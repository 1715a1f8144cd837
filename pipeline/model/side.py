"""What is kept beside lineages: dead letters, and the ledger."""

from __future__ import annotations

import msgspec

from pipeline.model.records import Source


class DeadLetter(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A raw record that will never parse, kept with its reason."""

    offset: int
    source: Source
    arrival_ns: int
    peer: str
    reason: str
    detail: str
    """Where and why, without any of the record's own bytes that may be secret."""
    body: str
    """The record redacted, invalid bytes escaped, at most 64 KiB."""
    fingerprint: str
    """Keyed hash of the original bytes, hex."""
    size: int
    original: bytes = b""
    """The original bytes, encrypted (`pipeline.originals`); empty where no key is configured."""
    original_key: str | None = None
    """Names the key of `original`."""


class LedgerRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One number of the ledger, as it stood at the last look within a minute."""

    minute_s: int
    """UTC epoch seconds, a whole minute."""
    instance: str
    """Whose number it is: the bus that keeps an account, or the process that counts since it began."""
    source: str
    """`haproxy`, `kong`, or what else is accounted for."""
    kind: str
    """`received`, an `OutcomeKind`, `pending`, `committed`, `refused`, or what another room counts."""
    reason: str
    """Closed set; empty where there is none."""
    total: int
    """Since the instance began; of `pending` and `committed`, what they were."""
    taken_ns: int
    """When it was looked at, UTC epoch nanoseconds: of two rows of one minute the later counts."""
