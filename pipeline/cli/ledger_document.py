"""PURE: what became of the records of a period, as one document and in sentences that can be quoted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from pipeline.store.gaps import Gap, Process, gap_document
from pipeline.store.ledger import WAYS_OUT, Kept, Ledger

_MINUTE_S = 60
_MOST_QUOTED = 10
_RESTING = {"stored": "records of requests", "event": "events", "dead_letter": "dead letters"}
_NAMES = {"event": "events", "duplicate": "duplicates", "dead_letter": "dead letters"}


class Evidence(NamedTuple):
    """What the store says of a period."""

    since_s: int
    until_s: int
    ledger: Ledger
    processes: Sequence[Process]
    gaps: Sequence[Gap]
    """Settled ones: what lacks will not come any more."""
    unsettled: int
    """Lines that lack and may still be on their way."""
    dropped_by_edge: int
    without_counter: int
    """Lines of HAProxy's in the period that carry no log counter, so that nobody can miss one of them."""
    requests: Mapping[str, int]
    """Stored requests that began in the period: `complete`, or `edge_only` and `gateway_only` with the reason."""
    kept: Sequence[Kept] = ()
    over_s: int | None = None
    """Up to here all minutes were over when the store was asked, UTC epoch seconds; None: the whole period."""


def ledger_document(evidence: Evidence) -> dict[str, Any]:
    """Give the document of `hoptrail ledger -o json`."""
    ledger, gaps = evidence.ledger, evidence.gaps
    return {
        "since": shown_minute(evidence.since_s),
        "until": shown_minute(evidence.until_s),
        "reconciles": reconciles(evidence),
        "sources": {source: _source(ledger, source) for source in ledger.sources()},
        "not_running": [_stretch(*part) for part in not_running(evidence)],
        "requests": dict(evidence.requests),
        "edge_lines": {
            "with_counter": sum(process.lines for process in evidence.processes),
            "without_counter": evidence.without_counter,
            "missing": sum(gap.missing for gap in gaps),
            "may_still_come": evidence.unsettled,
            "dropped_by_edge": evidence.dropped_by_edge,
            "gaps": [gap_document(gap) for gap in gaps],
        },
        "kept": [kept._asdict() for kept in evidence.kept],
        "statement": list(statement(evidence)),
    }


def minute_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Give one row a source and minute that was looked at, in the order of time."""
    found = []
    for source in ledger.sources():
        pending = ledger.pending_before.get(source, 0)
        for minute_s, sums in ledger.minutes(source):
            if "pending" in sums:
                pending = sums["pending"]
            found.append((minute_s, source, sums, pending))
    for minute_s, source, sums, pending in sorted(found, key=lambda row: row[:2]):
        yield {
            "minute": shown_minute(minute_s),
            "source": source,
            "received": sums["received"],
            "parsed": sums["stored"] + sums["event"] + sums["duplicate"],
            **{way: sums[way] for way in WAYS_OUT},
            "pending": pending,
            "refused": sums["refused"],
        }


def reconciles(evidence: Evidence) -> bool:
    """Whether every account of the period adds up, and the store holds what they say."""
    ledger = evidence.ledger
    return all(ledger.difference(source) == 0 for source in ledger.sources()) and all(
        kept.said == kept.found for kept in evidence.kept
    )


def statement(evidence: Evidence) -> Iterator[str]:
    """Give what can be quoted, a sentence each."""
    ledger = evidence.ledger
    period = f"From {shown_minute(evidence.since_s)} to {shown_minute(evidence.until_s)}"
    if not ledger.sources():
        yield f"{period} Hoptrail kept no account: it did not run, or not with this store."
    for source in ledger.sources():
        yield f"{period}, {source}: {_equation(ledger, source)}."
        for kind in ("dropped", "dead_letter"):
            if reasons := ledger.reasons(source, kind):
                yield f"{source}: {_NAMES.get(kind, kind)} by reason: {_listed(reasons)}."
        if gone := messages_gone(ledger, source):
            yield (
                f"{source}: {gone:,} messages were removed by their topic's retention before they were read; how many "
                "records they held is not known, and none of them is in the sum."
            )
    for part in not_running(evidence):
        yield f"No account was kept from {shown_minute(part[0])} to {shown_minute(part[1])}: nothing ran."
    if evidence.requests:
        yield f"Requests that began in the period: {_listed(evidence.requests)}."
    yield from _edge_sentences(evidence)
    for kept in evidence.kept:
        if not kept.said and not kept.found:
            continue
        agrees = "the store holds as many" if kept.said == kept.found else f"the store holds {kept.found:,}"
        yield f"Of {kept.instance} the ledger says {kept.said:,} {_RESTING[kept.kind]}; {agrees}."


def messages_gone(ledger: Ledger, source: str) -> int:
    """Give how many messages of a topic were gone before they were read; each held many records."""
    return sum(ledger.reasons(source, "messages_gone").values())


def silent(ledger: Ledger, source: str) -> list[tuple[int, int]]:
    """Give the stretches in which Hoptrail ran and a source sent nothing: from, to, UTC epoch seconds."""
    return _joined(minute_s for minute_s, sums in ledger.minutes(source) if not sums["received"])


def not_running(evidence: Evidence) -> list[tuple[int, int]]:
    """Give the stretches of the period in which nobody looked, where somebody ever did."""
    if not evidence.ledger.sources():
        return []
    looked = {line.minute_s for line in evidence.ledger.lines if line.kind == "received"}
    over_s = evidence.until_s if evidence.over_s is None else min(evidence.until_s, evidence.over_s)
    ends = pairwise([evidence.since_s - _MINUTE_S, *sorted(looked), over_s])
    return [(last_s + _MINUTE_S, next_s) for last_s, next_s in ends if next_s > last_s + _MINUTE_S]


def shown_minute(second: int) -> str:
    """Write UTC epoch seconds as RFC 3339."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _source(ledger: Ledger, source: str) -> dict[str, Any]:
    sums = ledger.sums(source)
    return {
        "received": sums["received"],
        "parsed": sums["stored"] + sums["event"] + sums["duplicate"],
        **{way: sums[way] for way in WAYS_OUT},
        "pending_before": ledger.pending_before.get(source, 0),
        "pending_after": ledger.pending_after.get(source, 0),
        "difference": ledger.difference(source),
        "drop_reasons": dict(ledger.reasons(source, "dropped")),
        "dead_letter_reasons": dict(ledger.reasons(source, "dead_letter")),
        "refused": dict(ledger.reasons(source, "refused")),
        "messages_gone": dict(ledger.reasons(source, "messages_gone")),
        "silent": [_stretch(*part) for part in silent(ledger, source)],
    }


def _equation(ledger: Ledger, source: str) -> str:
    """Write the account as a sum that anybody can work out again."""
    sums, before = ledger.sums(source), ledger.pending_before.get(source, 0)
    came = f"{sums['received']:,} received" + (f" + {before:,} under way before" if before else "")
    left = " + ".join(f"{sums[way]:,} {_NAMES.get(way, way)}" for way in WAYS_OUT)
    after, difference = ledger.pending_after.get(source, 0), ledger.difference(source)
    equation = f"{came} = {left} + {after:,} under way after"
    return equation if difference == 0 else f"{equation} + {difference:,} that cannot be accounted for"


def _edge_sentences(evidence: Evidence) -> Iterator[str]:
    """Say what HAProxy's own counters say."""
    counted = sum(process.lines for process in evidence.processes)
    if counted:
        senders = {(process.node, process.pid) for process in evidence.processes}
        missing = sum(gap.missing for gap in evidence.gaps)
        yield (
            f"{counted:,} lines of {len(senders)} HAProxy process{'es' if len(senders) > 1 else ''} carry a log "
            f"counter; {missing:,} log-counter values are missing."
        )
    if evidence.without_counter:
        yield (
            f"{evidence.without_counter:,} lines carry no log counter (%lc): whether others were lost beside them "
            "cannot be told."
        )
    for gap in evidence.gaps[:_MOST_QUOTED]:
        yield f"Missing: {gap_words(gap_document(gap))}."
    if len(evidence.gaps) > _MOST_QUOTED:
        yield f"And {len(evidence.gaps) - _MOST_QUOTED:,} gaps more; -o json lists them."
    if evidence.unsettled:
        yield f"{evidence.unsettled:,} more lack among the newest lines and may still come."
    if evidence.dropped_by_edge:
        yield f"HAProxy says that it threw away {evidence.dropped_by_edge:,} lines itself; they lack above as well."


def gap_words(gap: Mapping[str, Any]) -> str:
    """Say in words which lines lack."""
    lines = "1 line" if gap["missing"] == 1 else f"{gap['missing']:,} lines"
    where = f"{gap['node'] or 'an unnamed node'} pid {gap['pid'] or '?'} frontend {gap['frontend'] or '?'}"
    return (
        f"{lines} at {where}, counters {gap['after_counter']} to {gap['before_counter']}, "
        f"between {gap['after']} and {gap['before']}"
    )


def _joined(minutes: Iterable[int]) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    for minute_s in minutes:
        if parts and parts[-1][1] == minute_s:
            parts[-1] = (parts[-1][0], minute_s + _MINUTE_S)
        else:
            parts.append((minute_s, minute_s + _MINUTE_S))
    return parts


def _stretch(first_s: int, end_s: int) -> dict[str, str]:
    return {"from": shown_minute(first_s), "to": shown_minute(end_s)}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
