"""What a running process knows of its records: one document, and the samples of its metrics.

Everything is read from the bus's account and the engine's progress at the moment of asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.clock import Clock
from pipeline.contracts import Account, Bus
from pipeline.engine import Engine
from pipeline.engine.edge_watch import EdgeWatch
from pipeline.engine.lateness import Spread, spread_document
from pipeline.engine.ledger import LedgerKeeper
from pipeline.model import OutcomeKind, Source
from pipeline.sources.stats import SourceStats
from pipeline.telemetry import Sample


def account_document(account: Account) -> dict[str, dict[str, Any]]:
    """Give, per source, `received` and every way a record may have left; they sum."""
    sources: dict[str, dict[str, Any]] = {}
    for source in Source:
        row: dict[str, Any] = {"received": 0, **{kind.value: 0 for kind in OutcomeKind}}
        row |= {"pending": account.pending.get(source, 0), "drop_reasons": {}, "dead_letter_reasons": {}}
        sources[source.value] = row
    for outcome, count in account.outcomes.items():
        row = sources[outcome.source.value]
        row[outcome.kind.value] += count
        if outcome.kind is OutcomeKind.DROPPED:
            row["drop_reasons"][outcome.reason] = count
        elif outcome.kind is OutcomeKind.DEAD_LETTER:
            row["dead_letter_reasons"][outcome.reason] = count
    for row in sources.values():
        row["received"] = row["pending"] + sum(row[kind.value] for kind in OutcomeKind)
    return sources


def replay_document(account: Account, lineages: Mapping[str, int], attempts: int) -> dict[str, Any]:
    """Give what `replay -o json` prints (design section 12)."""
    return {"sources": account_document(account), "lineages": dict(lineages), "attempts": attempts}


@dataclass(frozen=True, slots=True)
class Loss:
    """The parts of a running process that know what never reached it."""

    stats: SourceStats
    ledger: LedgerKeeper
    watch: EdgeWatch

    def document(self) -> dict[str, Any]:
        """Give what HAProxy's own counting says, and when the ledger was written."""
        written_ns = self.ledger.written_ns
        return {
            "written_at": rfc3339(written_ns) if written_ns else None,
            "edge_lines": self.watch.document(),
        }

    def samples(self, now_ns: int) -> Mapping[str, Iterable[Sample]]:
        """Give the samples of its metrics."""
        age = _seconds(now_ns, self.ledger.written_ns)
        return {
            "hoptrail_source_refused": [
                (count, {"listener": listener.name, "reason": reason})
                for listener in list(self.stats.listeners.values())
                for reason, count in list(listener.refused.items())
            ],
            "hoptrail_edge_lines_missing": [(self.watch.missing, {})],
            "hoptrail_edge_lines_dropped": [(self.watch.dropped, {})],
            "hoptrail_ledger_age_seconds": [] if age is None else [(age, {})],
        }


@dataclass(frozen=True, slots=True)
class Observed:
    """The parts of a running process that are asked."""

    bus: Bus
    engine: Engine
    clock: Clock
    last_arrivals_ns: Mapping[Source, int]
    """When each source last sent something; a source that never did is absent."""
    window_s: float
    loss: Loss

    def document(self) -> dict[str, Any]:
        """Give sources, bus, join and lag; shape as in `docs/operations.md`."""
        now_ns = self.clock.now_ns()
        sources = account_document(self.bus.account())
        lateness = self.engine.progress.lateness
        late, second = lateness.arrivals(), lateness.second_halves()
        for source in Source:
            arrival_ns = self.last_arrivals_ns.get(source)
            sources[source.value]["last_arrival"] = rfc3339(arrival_ns) if arrival_ns else None
            sources[source.value]["silent_s"] = _seconds(now_ns, arrival_ns)
            sources[source.value]["lateness_s"] = spread_document(late.get(source))
            sources[source.value]["second_half_s"] = spread_document(second.get(source))
        joiner = self.engine.joiner
        return {
            "sources": sources,
            "bus": {"fill": self.bus.fill, "committed": self.bus.committed, "end": self.bus.end},
            "join": {
                "pending": joiner.pending,
                "pending_bytes": joiner.pending_bytes,
                "oldest_s": _seconds(now_ns, joiner.oldest_arrival_ns),
                "window_s": self.window_s,
                "looked_up": self.engine.progress.looked_up,
                "late": self.engine.progress.late,
                "evicted": self.engine.progress.evicted,
            },
            "lag_s": self._lag_s(now_ns),
            "ledger": self.loss.document(),
        }

    def samples(self) -> Mapping[str, Iterable[Sample]]:
        """Give the samples of every metric in `telemetry.METRICS`."""
        now_ns = self.clock.now_ns()
        account, progress, joiner = self.bus.account(), self.engine.progress, self.engine.joiner
        documents = account_document(account)
        return {
            "hoptrail_records_received": [
                (row["received"], {"source": name}) for name, row in documents.items()
            ],
            "hoptrail_records_left": [
                (count, {"source": left.source.value, "outcome": left.kind.value, "reason": left.reason})
                for left, count in account.outcomes.items()
            ],
            "hoptrail_records_pending": [
                (row["pending"], {"source": name}) for name, row in documents.items()
            ],
            "hoptrail_source_silence_seconds": [
                ((now_ns - arrival_ns) / 1e9, {"source": source.value})
                for source, arrival_ns in self.last_arrivals_ns.items()
            ],
            "hoptrail_source_lateness_seconds": list(_quantiles(progress.lateness.arrivals())),
            "hoptrail_join_second_half_seconds": list(_quantiles(progress.lateness.second_halves())),
            "hoptrail_bus_fill_ratio": [(self.bus.fill, {})],
            "hoptrail_join_pending": [(joiner.pending, {})],
            "hoptrail_join_pending_bytes": [(joiner.pending_bytes, {})],
            "hoptrail_join_wait_seconds": [(_seconds(now_ns, joiner.oldest_arrival_ns) or 0.0, {})],
            "hoptrail_join_evicted": [(progress.evicted, {})],
            "hoptrail_join_late": [(progress.late, {})],
            "hoptrail_lineages_written": [
                (count, {"outcome": outcome}) for outcome, count in progress.lineages_written.items()
            ],
            "hoptrail_store_batches_written": [(progress.batches_written, {})],
            "hoptrail_store_write_errors": [(progress.write_errors, {})],
            "hoptrail_lag_seconds": [(self._lag_s(now_ns), {})],
            **self.loss.samples(now_ns),
        }

    def _lag_s(self, now_ns: int) -> float:
        progress = self.engine.progress
        if progress.caught_up or not progress.last_arrival_ns:
            return 0.0
        return max(0.0, (now_ns - progress.last_arrival_ns) / 1e9)


def _quantiles(spreads: Mapping[Source, Spread]) -> Iterable[Sample]:
    for source, spread in spreads.items():
        for quantile, value in spread.by_quantile.items():
            yield value, {"source": source.value, "quantile": f"{quantile:g}"}


def rfc3339(time_ns: int) -> str:
    """Write UTC epoch nanoseconds as RFC 3339 with microseconds."""
    return (
        datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )


def _seconds(now_ns: int, then_ns: int | None) -> float | None:
    return max(0.0, (now_ns - then_ns) / 1e9) if then_ns else None
