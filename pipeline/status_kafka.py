"""What an ingest or a join process knows of its records; the account over all of them is the group's.

Everything is read at the moment of asking, from the thread that asks: each number whole, not all at one instant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.bus.kafka.group import JoinGroup
from pipeline.bus.kafka.ingest import IngestBus
from pipeline.bus.kafka.units import Unit
from pipeline.clock import Clock
from pipeline.contracts import Account
from pipeline.engine import Engine
from pipeline.model import Outcome, Source
from pipeline.sources.stats import SourceStats
from pipeline.status import Loss, account_document, rfc3339
from pipeline.telemetry import Sample

_Samples = dict[str, Iterable[Sample]]


def account_samples(account: Account) -> _Samples:
    """Give the samples of an account."""
    return {
        "hoptrail_records_received": [
            (row["received"], {"source": name}) for name, row in account_document(account).items()
        ],
        "hoptrail_records_left": [
            (count, {"source": left.source.value, "outcome": left.kind.value, "reason": left.reason})
            for left, count in account.outcomes.items()
        ],
        "hoptrail_records_pending": [
            (count, {"source": source.value}) for source, count in account.pending.items()
        ],
    }


def gone_document(account: Account) -> dict[str, dict[str, int]]:
    """Give, per source, the messages that never were read, by reason; how many records they held nobody knows."""
    return {source.value: {"retention": account.gone.get(source, 0)} for source in Source}


@dataclass(frozen=True, slots=True)
class ObservedIngest:
    """The parts of an ingest process that are asked."""

    bus: IngestBus
    stats: SourceStats
    clock: Clock

    def document(self) -> dict[str, Any]:
        """Give what it took, dropped, and holds; what became of the rest the join processes know."""
        now_ns = self.clock.now_ns()
        sources = account_document(self.bus.account())
        for source, arrival_ns in dict(self.stats.last_arrivals_ns).items():
            sources[source.value]["last_arrival"] = rfc3339(arrival_ns)
            sources[source.value]["silent_s"] = max(0.0, (now_ns - arrival_ns) / 1e9)
        return {
            "role": "ingest",
            "sources": sources,
            "bus": {"fill": self.bus.fill},
            "listeners": self.stats.document(),
        }

    def samples(self) -> Mapping[str, Iterable[Sample]]:
        """Give the samples of the metrics that an ingest process has."""
        now_ns = self.clock.now_ns()
        return account_samples(self.bus.account()) | {
            "hoptrail_bus_fill_ratio": [(self.bus.fill, {})],
            "hoptrail_source_refused": [
                (count, {"listener": listener.name, "reason": reason})
                for listener in list(self.stats.listeners.values())
                for reason, count in list(listener.refused.items())
            ],
            "hoptrail_source_silence_seconds": [
                ((now_ns - arrival_ns) / 1e9, {"source": source.value})
                for source, arrival_ns in dict(self.stats.last_arrivals_ns).items()
            ],
        }


@dataclass(frozen=True, slots=True)
class ObservedJoin:
    """The parts of a join process that are asked."""

    group: JoinGroup
    clock: Clock
    window_s: float
    loss: Loss | None = None

    def accounts(self) -> Mapping[str, Account]:
        """Give the account of each partition that is ours now, by the partition's name."""
        found = dict(self.group.last_accounts)
        for unit in self._units():
            found |= unit.bus.accounts()
        return {f"{self.group.name}/{name}": account for name, account in found.items()}

    def account(self) -> Account:
        """Give the sum over the partitions that are ours now, since their topics began."""
        outcomes: Counter[Outcome] = Counter()
        pending: Counter[Source] = Counter(dict.fromkeys(Source, 0))
        gone: Counter[Source] = Counter(dict.fromkeys(Source, 0))
        for account in self.accounts().values():
            outcomes.update(account.outcomes)
            pending.update(account.pending)
            gone.update(account.gone)
        return Account(dict(outcomes), dict(pending), gone=dict(gone))

    def document(self) -> dict[str, Any]:
        """Give account, partitions with their lag, and join."""
        now_ns, account = self.clock.now_ns(), self.account()
        units, engines = self._units(), self._engines()
        oldest = [engine.joiner.oldest_arrival_ns or now_ns for engine in engines]
        return {
            "role": "join",
            "sources": account_document(account),
            "bus": {
                "fill": 0.0,
                "partitions": {
                    str(unit.bus.number): {
                        "lag_messages": {source.value: unit.bus.lag(source) for source in Source},
                        "lag_s": self._lag_s(unit, now_ns),
                    }
                    for unit in units
                },
                "paused": self.group.paused,
                "rebalances": self.group.rebalances,
                "messages_gone": gone_document(account),
            },
            "join": {
                "pending": sum(engine.joiner.pending for engine in engines),
                "pending_bytes": sum(engine.joiner.pending_bytes for engine in engines),
                "oldest_s": max((now_ns - then_ns) / 1e9 for then_ns in oldest) if oldest else None,
                "window_s": self.window_s,
                "looked_up": sum(engine.progress.looked_up for engine in engines),
                "late": sum(engine.progress.late for engine in engines),
                "evicted": sum(engine.progress.evicted for engine in engines),
            },
            "lag_s": max((self._lag_s(unit, now_ns) for unit in units), default=0.0),
            **({"ledger": self.loss.document()} if self.loss else {}),
        }

    def samples(self) -> Mapping[str, Iterable[Sample]]:
        """Give the samples of the metrics that a join process has."""
        now_ns, units, engines = self.clock.now_ns(), self._units(), self._engines()
        document = self.document()
        account, written = self.account(), Counter[str]()
        for engine in engines:
            written.update(engine.progress.lineages_written)
        progresses = [engine.progress for engine in engines]
        return account_samples(account) | {
            "hoptrail_join_pending": [(document["join"]["pending"], {})],
            "hoptrail_join_pending_bytes": [(document["join"]["pending_bytes"], {})],
            "hoptrail_join_wait_seconds": [(document["join"]["oldest_s"] or 0.0, {})],
            "hoptrail_join_evicted": [(document["join"]["evicted"], {})],
            "hoptrail_join_late": [(document["join"]["late"], {})],
            "hoptrail_lineages_written": [(count, {"outcome": name}) for name, count in written.items()],
            "hoptrail_store_batches_written": [(sum(each.batches_written for each in progresses), {})],
            "hoptrail_store_write_errors": [(sum(each.write_errors for each in progresses), {})],
            "hoptrail_lag_seconds": [(max((self._lag_s(unit, now_ns) for unit in units), default=0.0), {})],
            "hoptrail_kafka_lag_messages": [
                (sum(unit.bus.lag(source) for unit in units), {"source": source.value}) for source in Source
            ],
            "hoptrail_kafka_messages_gone": [
                (count, {"source": source.value, "reason": "retention"})
                for source, count in account.gone.items()
            ],
            "hoptrail_kafka_partitions_assigned": [(len(units), {})],
            "hoptrail_kafka_partitions_paused": [(self.group.paused, {})],
            "hoptrail_kafka_rebalances": [(self.group.rebalances, {})],
            **(self.loss.samples(now_ns) if self.loss else {}),
        }

    def _units(self) -> list[Unit]:
        return list(self.group.units.values())

    def _engines(self) -> list[Engine]:
        return [unit.engine for unit in self._units() if isinstance(unit.engine, Engine)]

    @staticmethod
    def _lag_s(unit: Unit, now_ns: int) -> float:
        """Tell the age of what is read now; 0 where the partition is read empty."""
        if not any(unit.bus.lag(source) for source in Source) or not unit.bus.last_arrival_ns:
            return 0.0
        return max(0.0, (now_ns - unit.bus.last_arrival_ns) / 1e9)
