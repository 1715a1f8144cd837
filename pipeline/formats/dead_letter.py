"""From a record that will never parse to the letter that is kept of it."""

from __future__ import annotations

from typing import Protocol

from pipeline.errors import MalformedLine
from pipeline.formats.redact import Redactor
from pipeline.model import DeadLetter, Source

_LONGEST_DETAIL = 500


class KeepsOriginals(Protocol):
    """What encrypts the bytes of a record, so that they may be kept beside its letter."""

    key_id: str

    def seal(self, body: bytes, *, source: Source, fingerprint: str) -> bytes:
        """Encrypt a record, bound to its source, fingerprint and size; nothing, `b""`, where it is too long."""
        ...


def to_dead_letter(
    body: bytes,
    *,
    offset: int,
    source: Source,
    arrival_ns: int,
    peer: str,
    error: MalformedLine,
    redactor: Redactor,
    originals: KeepsOriginals | None = None,
) -> DeadLetter:
    """Keep the record redacted, with the reason and a keyed fingerprint of its exact bytes.

    The bytes themselves are kept only where `originals` is there to encrypt them.
    """
    letter: DeadLetter | None = getattr(error, "letter", None)
    if letter is not None:  # written before the record came onto the bus
        return letter
    fingerprint = redactor.fingerprint(body)
    sealed = originals.seal(body, source=source, fingerprint=fingerprint) if originals else b""
    return DeadLetter(
        offset=offset,
        source=source,
        arrival_ns=arrival_ns,
        peer=peer,
        reason=error.reason,
        detail=str(error)[:_LONGEST_DETAIL],
        body=redactor.text(body),
        fingerprint=fingerprint,
        size=len(body),
        original=sealed,
        original_key=originals.key_id if originals and sealed else None,
    )
