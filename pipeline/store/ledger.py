"""The ledger: how its rows are stored, and what is read of a period.

A row is a number as it stood within a minute; the view `ledger` gives what each minute brought.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from clickhouse_connect.driver import Client

from pipeline.model import LedgerRow
from pipeline.store.side_columns import LEDGER as COLUMNS
from pipeline.store.side_rows import SideTable

LEDGER = SideTable("ledger_versions", LedgerRow, COLUMNS)

WAYS_OUT = ("stored", "event", "duplicate", "dead_letter", "dropped")
"""`OutcomeKind`, as the ledger writes it."""
_STATES = ("pending", "committed")


class Line(NamedTuple):
    """What one minute brought of one kind."""

    minute_s: int
    instance: str
    source: str
    kind: str
    reason: str
    amount: int


class Ledger(NamedTuple):
    """What became of the records of a period."""

    lines: list[Line]
    """In the order of time; minutes without a line of `received` were not looked at: nothing ran."""
    pending_before: Mapping[str, int]
    """By source: what was on its way when the period began."""
    pending_after: Mapping[str, int]
    """By source: what was on its way when it ended."""

    def sources(self) -> list[str]:
        """Name the sources that kept an account."""
        return sorted(
            {line.source for line in self.lines if line.kind == "received"} | set(self.pending_after)
        )

    def sums(self, source: str) -> Counter[str]:
        """Give how many of each kind there were."""
        found: Counter[str] = Counter()
        for line in self.lines:
            if line.source == source and line.kind not in _STATES:
                found[line.kind] += line.amount
        return found

    def reasons(self, source: str, kind: str) -> Counter[str]:
        """Give how many of one kind there were by reason."""
        found: Counter[str] = Counter()
        for line in self.lines:
            if (line.source, line.kind) == (source, kind) and line.amount:
                found[line.reason] += line.amount
        return found

    def difference(self, source: str) -> int:
        """Give what came in, and was there, less what left, and is there: 0 where the account is right."""
        sums = self.sums(source)
        there = self.pending_before.get(source, 0) + sums["received"]
        return there - sum(sums[way] for way in WAYS_OUT) - self.pending_after.get(source, 0)

    def minutes(self, source: str) -> Iterator[tuple[int, Counter[str]]]:
        """Give what each minute brought that was looked at."""
        by_minute: dict[int, Counter[str]] = {}
        for line in self.lines:
            if line.source == source:
                by_minute.setdefault(line.minute_s, Counter())[line.kind] += line.amount
        yield from sorted(by_minute.items())


def read_ledger(client: Client, since_s: int, until_s: int) -> Ledger:
    """Read the minutes from `since_s` up to, not with, `until_s`, UTC epoch seconds.

    Raises:
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    rows = client.query(
        "SELECT toUInt32(minute), toString(instance), toString(source), toString(kind), toString(reason), count "
        "FROM ledger WHERE minute >= toDateTime({since:Int64}, 'UTC') AND minute < toDateTime({until:Int64}, 'UTC') "
        "AND kind != 'committed' ORDER BY minute, instance, source, kind, reason",
        {"since": since_s, "until": until_s},
    ).result_rows
    lines = [
        Line(int(minute), str(instance), str(source), str(kind), str(reason), int(amount))
        for minute, instance, source, kind, reason, amount in rows
    ]
    return Ledger(lines, _pending(client, since_s), _pending(client, until_s))


def _pending(client: Client, before_s: int) -> dict[str, int]:
    """Give what was on its way at the last look before a moment, of all instances."""
    rows = client.query(
        "SELECT toString(source), sum(last) FROM (SELECT instance, source, argMax(total, minute) AS last FROM ledger "
        "WHERE kind = 'pending' AND minute < toDateTime({before:Int64}, 'UTC') GROUP BY instance, source) "
        "GROUP BY source",
        {"before": before_s},
    ).result_rows
    return {str(source): int(last) for source, last in rows}


def committed(client: Client) -> dict[int, int]:
    """Give the committed offset at the last look, by bus (its offsets divided by 2**40)."""
    rows = client.query(
        "SELECT argMax(total, minute) FROM ledger WHERE kind = 'committed' GROUP BY instance", {}
    ).result_rows
    return {int(offset) >> 40: int(offset) for (offset,) in rows}


class Kept(NamedTuple):
    """How many records of one bus the ledger says rest in the store, and how many are there."""

    instance: str
    kind: str
    """`stored`, `event` or `dead_letter`."""
    said: int
    found: int


_KEPT = {
    "stored": (
        "SELECT offset FROM (SELECT `edge.offset` AS offset FROM lineage WHERE has_edge "
        "UNION ALL SELECT offset FROM attempts)"
    ),
    "event": "SELECT offset FROM edge_events",
    "dead_letter": "SELECT offset FROM dead_letters",
}


def kept(client: Client) -> list[Kept]:
    """Count, of each bus whose offsets name records, what rests in the store; reads every offset there is.

    What was committed after the last look is left out on both sides. Retention, and originals that were
    deleted, make `found` less than `said`.
    """
    last = client.query(
        "SELECT instance, argMax(total, minute) FROM ledger WHERE kind = 'committed' GROUP BY instance", {}
    ).result_rows
    found = []
    for instance, end in sorted((str(instance), int(end)) for instance, end in last):
        for kind, offsets in _KEPT.items():
            said = client.query(
                "SELECT sum(last) FROM (SELECT argMax(total, minute) AS last FROM ledger "
                "WHERE instance = {instance:String} AND kind = {kind:String} GROUP BY source, reason)",
                {"instance": instance, "kind": kind},
            ).result_rows[0][0]
            there = client.query(
                f"SELECT uniqExact(offset) FROM ({offsets}) "  # noqa: S608 -- a literal of this file
                "WHERE offset >= {first:Int64} AND offset < {end:Int64}",
                {"first": end >> 40 << 40, "end": end},
            ).result_rows[0][0]
            found.append(Kept(instance, kind, int(said or 0), int(there)))
    return found
