"""From a group and what the store already holds of it to the rows to write, and what became of each record.

The union of records decides, never a counter: settling the same records again, in any order and split in any
way, gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from pipeline.join.group import Group
from pipeline.join.lineage_flags import ID_REUSE, LATE
from pipeline.join.links import Links
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Outcome, OutcomeKind, Source, StoreKey

_STORED = {source: Outcome(source, OutcomeKind.STORED) for source in Source}
_DUPLICATE = {source: Outcome(source, OutcomeKind.DUPLICATE) for source in Source}


class Settled(NamedTuple):
    """What follows from a group."""

    lineages: list[Lineage]
    """Rows to write: new ones, changed ones, and tombstones of rows that were absorbed."""
    outcomes: list[tuple[int, Outcome]]
    """Offset and outcome of every record of the group, copies included."""


def settle(group: Group, stored: Sequence[Lineage]) -> Settled:
    """Unite a group with the stored rows that share an id with it.

    A record whose copy is stored already is a duplicate, unless the stored one has its very offset: then the
    process was killed between writing and committing, and this is the first time that it is counted.

    Args:
        group: Records that came now.
        stored: Live rows of the store that share an id, as `Store.find_stored` gives them; none where
            nothing can be stored.
    """
    if not stored and len(group.edges) == 1 and len(group.attempts) <= 1 and not group.copies:
        return _alone(group)
    links = Links(group) if stored else None
    tied = [row for row in stored if links is not None and links.tie(row)]
    union = _Union()
    for row in tied:
        union.take_stored(row)
    outcomes = union.take_fresh(group)
    outcomes += [(offset, _DUPLICATE[source]) for source, offset in group.copies]
    lineages = resolve(
        list(union.edges.values()),
        list(union.attempts.values()),
        evicted=group.closed == "evicted",
        crowded=group.crowded,
        shared={row.request_id for row in tied if ID_REUSE in row.flags},
    )
    if tied:
        is_late = union.has_news and any(row.missing for row in tied)
        lineages = list(_changes(lineages, tied, is_late=is_late))
    return Settled(lineages, outcomes)


def _alone(group: Group) -> Settled:
    """Settle what is nearly every group: a pair, or half of one, and nothing stored of it."""
    outcomes = [(group.edges[0].offset, _STORED[Source.HAPROXY])]
    outcomes += [(attempt.offset, _STORED[Source.KONG]) for attempt in group.attempts]
    evicted = group.closed == "evicted"
    lineages = resolve(group.edges, group.attempts, evicted=evicted, crowded=group.crowded)
    return Settled(lineages, outcomes)


class _Union:
    """Records by their identity."""

    def __init__(self) -> None:
        self.edges: dict[int, EdgeRecord] = {}
        self.attempts: dict[int, GatewayRecord] = {}
        self.has_news = False
        """Whether a record came that no stored row holds."""

    def take_stored(self, row: Lineage) -> None:
        if row.edge is not None:
            self.edges.setdefault(row.edge.rec_id, row.edge)
        for attempt in row.attempts:
            self.attempts.setdefault(attempt.attempt_id, attempt)

    def take_fresh(self, group: Group) -> list[tuple[int, Outcome]]:
        """Take the group's records in; gives what became of each."""
        outcomes = []
        for edge in group.edges:
            held = self.edges.setdefault(edge.rec_id, edge)
            outcomes.append(
                (edge.offset, self._outcome(Source.HAPROXY, edge is held, edge.offset == held.offset))
            )
        for attempt in group.attempts:
            known = self.attempts.setdefault(attempt.attempt_id, attempt)
            is_own = attempt.offset == known.offset
            outcomes.append((attempt.offset, self._outcome(Source.KONG, attempt is known, is_own)))
        return outcomes

    def _outcome(self, source: Source, is_new: bool, is_own_replay: bool) -> Outcome:
        self.has_news |= is_new
        return _STORED[source] if is_new or is_own_replay else _DUPLICATE[source]


def _changes(lineages: Iterable[Lineage], stored: Iterable[Lineage], *, is_late: bool) -> Iterable[Lineage]:
    """Keep the rows that are not in the store as they are, and bury those that stand elsewhere now."""
    before = {_key(row): row for row in stored}
    newest_rev = 0
    for lineage in lineages:
        newest_rev = max(newest_rev, lineage.rev)
        row = before.pop(_key(lineage), None)
        flags = set(lineage.flags)
        if is_late or (row is not None and LATE in row.flags):
            flags.add(LATE)
        renewed = msgspec.structs.replace(lineage, flags=tuple(sorted(flags)))
        if row is None:
            yield renewed
        elif msgspec.structs.replace(renewed, rev=row.rev) != row:
            yield msgspec.structs.replace(renewed, rev=max(renewed.rev, row.rev + 1))
    for row in before.values():
        yield msgspec.structs.replace(row, is_deleted=True, rev=max(newest_rev, row.rev + 1))


def _key(lineage: Lineage) -> StoreKey:
    return StoreKey(lineage.bucket_s, lineage.request_id, lineage.rec_id)
