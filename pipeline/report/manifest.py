"""PURE: what lies beside a report: what was asked, what came of it, what lacks, and how to check the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.columns import COLUMNS, Document
from pipeline.report.files import FileFacts, Form

_LOST = ("edge_log_lost", "gateway_log_lost", "evicted")
"""Reasons by which a record is known to have been, and is not here."""
_COUNTED = {
    "outcome": ("outcome",),
    "match": ("match",),
    "missing": ("missing",),
    "status": ("status",),
    "identity": ("identity", "kind"),
    "verdict": ("verdict", "domain"),
}


class Tally:
    """Counts what goes into a report."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.rows = self.unfinished = 0
        self._by: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED}

    def add(self, document: Document) -> None:
        """Count a lineage."""
        self.rows += 1
        self.unfinished += not document["final"]
        for name, path in _COUNTED.items():
            value: Any = document
            for step in path:
                value = value[step]
            self._by[name]["none" if value is None else str(value)] += 1

    def counts(self) -> dict[str, dict[str, int]]:
        """Give the counts, by what and by value."""
        return {name: dict(sorted(counter.items())) for name, counter in self._by.items()}

    @property
    def lost_halves(self) -> int:
        """How many rows lack a half that is known to have been."""
        return sum(self._by["missing"][reason] for reason in _LOST)


def completeness(
    tally: Tally, evidence: Mapping[str, Any], dead_letters: int, *, is_over: bool = True
) -> dict[str, Any]:
    """Say whether the report can be taken for all that happened.

    Args:
        tally: Of the rows.
        evidence: The document of `hoptrail ledger` for the same period.
        dead_letters: Records that arrived in the period and could not be read.
        is_over: Whether the period ended so long ago that its account was written since.

    Returns:
        `state`: `incomplete` where something is known to lack, `unknown` where nobody watched for a part of the
        period or it is not over, else `complete`; `because`, sentences; and the ledger's own document.
    """
    lacks = [
        (evidence["edge_lines"]["missing"], "lines that HAProxy counted never came"),
        (evidence["edge_lines"]["dropped_by_edge"], "lines were thrown away by HAProxy itself"),
        (
            sum(one.get("dropped", 0) for one in evidence["sources"].values()),
            "records were dropped on arrival",
        ),
        (
            sum(sum(one.get("messages_gone", {}).values()) for one in evidence["sources"].values()),
            "messages of many records each were gone from their topics before they were read",
        ),
        (dead_letters, "records that arrived in the period could not be read (dead letters)"),
        (tally.lost_halves, "requests lack a half whose line was lost"),
        (tally.unfinished, "requests were not finished when the report was made"),
        (int(not evidence["reconciles"]), "account of the period does not add up"),
    ]
    because = [f"{count} {what}" for count, what in lacks if count]
    known = bool(because)
    if not evidence["sources"]:
        because.append("no account was kept in the period: the records came to this store some other time")
    if evidence["not_running"]:
        because.append(f"nobody watched during {len(evidence['not_running'])} stretches of the period")
    if not is_over:
        because.append("the period was not over, or not for a minute, when the report was made")
    state = "incomplete" if known else "unknown" if because else "complete"
    return {"state": state, "because": because, "ledger": dict(evidence)}


def manifest(
    *,
    asked: Mapping[str, Any],
    made: Mapping[str, Any],
    tally: Tally,
    whole: Mapping[str, Any],
    form: Form,
    changed_cells: int,
    files: Sequence[FileFacts],
) -> dict[str, Any]:
    """Put the manifest together.

    Args:
        asked: Period, filters, statement.
        made: When, by what, from which store.
        tally: Of the rows.
        whole: Of `completeness`.
        form: Of the file.
        changed_cells: As the writer counted.
        files: What was written.
    """
    escaping = {
        Form.CSV: "what a spreadsheet could take for a formula has an apostrophe in front, characters that do not "
        "print are written as escapes; numbers and termination states are left as they are",
        Form.JSONL: "none",
        Form.PARQUET: "none",
    }
    columns = [] if form is Form.JSONL else [{"name": one.name, "meaning": one.meaning} for one in COLUMNS]
    return {
        "report": "access",
        "version": 1,
        **asked,
        **made,
        "rows": tally.rows,
        "counts": tally.counts(),
        "unfinished": tally.unfinished,
        "completeness": dict(whole),
        "form": str(form),
        "escaping": {"rule": escaping[form], "changed_cells": changed_cells},
        "columns": columns,
        "row_contract": "schemas/lineage.schema.json" if form is Form.JSONL else "columns",
        "files": [file._asdict() for file in files],
        "verify": "sha256sum of each file is its sha256; rows is its number of rows",
    }
