"""From a record that will never parse to the letter that is kept of it."""

from __future__ import annotations

from pipeline.errors import MalformedLine
from pipeline.formats.redact import Redactor
from pipeline.model import DeadLetter, Source

_LONGEST_DETAIL = 500


def to_dead_letter(
    body: bytes,
    *,
    offset: int,
    source: Source,
    arrival_ns: int,
    peer: str,
    error: MalformedLine,
    redactor: Redactor,
) -> DeadLetter:
    """Keep the record redacted, with the reason and a keyed fingerprint of its exact bytes."""
    letter: DeadLetter | None = getattr(error, "letter", None)
    if letter is not None:  # written before the record came onto the bus
        return letter
    return DeadLetter(
        offset=offset,
        source=source,
        arrival_ns=arrival_ns,
        peer=peer,
        reason=error.reason,
        detail=str(error)[:_LONGEST_DETAIL],
        body=redactor.text(body),
        fingerprint=redactor.fingerprint(body),
        size=len(body),
    )
