"""PURE: what is kept of a lineage that the store refuses: one dead letter for each of its records."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.formats.record_letter import letter_of_record
from pipeline.model import DeadLetter, Lineage

REASON = "refused_by_store"


def dead_letters_of(lineage: Lineage, detail: str) -> Iterator[DeadLetter]:
    """Give a dead letter for each record of a lineage."""
    if lineage.edge is not None:
        yield letter_of_record(lineage.edge, REASON, detail)
    for attempt in lineage.attempts:
        yield letter_of_record(attempt, REASON, detail)
