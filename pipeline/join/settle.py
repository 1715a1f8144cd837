"""From a group and what the store already holds of it to the rows to write, and what became of each record.

The union of records decides, never a counter: settling the same records again, in any order and split in any
way, gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from pipeline.join.expect import EVICTED, PENDING
from pipeline.join.group import Closed, Group
from pipeline.join.lineage_flags import CLOCK_SKEW, ID_REUSE, LATE
from pipeline.join.links import Links
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Outcome, OutcomeKind, Source, StoreKey

_STORED = {source: Outcome(source, OutcomeKind.STORED) for source in Source}
_UNFINISHED: dict[Closed, str] = {"pending": PENDING, "evicted": EVICTED}
_DUPLICATE = {source: Outcome(source, OutcomeKind.DUPLICATE) for source in Source}


class Settled(NamedTuple):
    """What follows from a group."""

    lineages: list[Lineage]
    """Rows to write: new ones, changed ones, and tombstones of rows that were absorbed."""
    outcomes: list[tuple[int, Outcome]]
    """Offset and outcome of every record of the group, copies included."""
    before: Sequence[Lineage] = ()
    """The stored rows that it was united with."""


def settle(group: Group, stored: Sequence[Lineage], kept: Sequence[Lineage] = ()) -> Settled:
    """Unite a group with the stored rows that share an id with it.

    A record whose copy is stored already is a duplicate, unless the stored one has its very offset: then the
    process was killed between writing and committing, and this is the first time that it is counted.

    Args:
        group: Records that came now.
        stored: Live rows of the store that share an id, as `Store.find_stored` gives them; none where
            nothing can be stored.
        kept: Single records of writers that may be at the same requests right now, each as the row that it
            would be alone: they are united, and what their writers may write without us is buried in advance.
    """
    if not stored and not kept and len(group.edges) == 1 and len(group.attempts) <= 1 and not group.copies:
        return _alone(group)
    links = Links(group) if stored or kept else None
    tied = [row for row in stored if links is not None and links.tie(row)]
    union = _Union()
    for row in tied:
        union.take_stored(row)
    outcomes = union.take_fresh(group)
    outcomes += [(offset, _DUPLICATE[source]) for source, offset in group.copies]
    own = {(record.offset, type(record)) for record in group.records}
    others = [row for row in kept if links is not None and not _is_own(row, own) and links.tie(row)]
    for row in others:
        union.take_kept(row)
    lineages = resolve(
        list(union.edges.values()),
        list(union.attempts.values()),
        unfinished=_UNFINISHED.get(group.closed),
        crowded=group.crowded,
        shared={row.request_id for row in tied if ID_REUSE in row.flags},
    )
    if tied or others:
        is_late = union.has_news and any(row.missing not in {None, PENDING} for row in tied)
        lineages = list(_changes(lineages, tied, is_late=is_late))
        lineages += _buried(kept, lineages, tied) if others else []
    return Settled(lineages, outcomes, tied)


def _alone(group: Group) -> Settled:
    """Settle what is nearly every group: a pair, or half of one, and nothing stored of it."""
    outcomes = [(group.edges[0].offset, _STORED[Source.HAPROXY])]
    outcomes += [(attempt.offset, _STORED[Source.KONG]) for attempt in group.attempts]
    unfinished = _UNFINISHED.get(group.closed)
    lineages = resolve(group.edges, group.attempts, unfinished=unfinished, crowded=group.crowded)
    return Settled(lineages, outcomes)


class _Union:
    """Records by their identity."""

    def __init__(self) -> None:
        self.edges: dict[int, EdgeRecord] = {}
        self.attempts: dict[int, GatewayRecord] = {}
        self.has_news = False
        """Whether a record came that no stored row holds."""

    def take_stored(self, row: Lineage) -> None:
        """Take a row's records in; of two copies in two rows the one that came first."""
        if row.edge is not None:
            self.edges.setdefault(row.edge.rec_id, row.edge)
        for attempt in row.attempts:
            known = self.attempts.setdefault(attempt.attempt_id, attempt)
            if attempt.offset < known.offset:
                self.attempts[attempt.attempt_id] = attempt

    def take_kept(self, row: Lineage) -> None:
        """Take in what another writer has kept; it changes nothing about what became of our records."""
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
        if row is not None and CLOCK_SKEW in row.flags:
            flags.add(CLOCK_SKEW)  # with the estimate it belongs to; that is no difference
        spans = lineage.spans if row is None else row.spans
        offset_ms = lineage.clock_offset_ms if row is None else row.clock_offset_ms
        renewed = msgspec.structs.replace(
            lineage, flags=tuple(sorted(flags)), spans=spans, clock_offset_ms=offset_ms
        )
        if row is None:
            yield renewed
        elif msgspec.structs.replace(renewed, rev=row.rev) != row:
            yield msgspec.structs.replace(renewed, rev=max(renewed.rev, row.rev + 1))
    for row in before.values():
        yield msgspec.structs.replace(row, is_deleted=True, rev=max(newest_rev, row.rev + 1))


def _is_own(row: Lineage, own: set[tuple[int, type]]) -> bool:
    record = row.edge if row.edge is not None else row.attempts[0]
    return (record.offset, type(record)) in own


def _buried(
    kept: Iterable[Lineage], lineages: Sequence[Lineage], stored: Iterable[Lineage]
) -> Iterable[Lineage]:
    """Bury what another writer may write of attempts that now stand in a row of another name.

    It is named after one of them; whether it is written before us or after, the tombstone's `rev` is higher,
    since it holds fewer records.
    """
    standing = {_key(row) for row in (*lineages, *stored)}
    placed = {one.attempt_id for row in lineages if not row.is_deleted for one in row.attempts}
    newest_rev = max((row.rev for row in lineages), default=0)
    for row in kept:
        if row.edge is None and row.rec_id in placed and _key(row) not in standing:
            yield msgspec.structs.replace(row, is_deleted=True, rev=max(newest_rev, row.rev + 1))


def _key(lineage: Lineage) -> StoreKey:
    return StoreKey(lineage.bucket_s, lineage.request_id, lineage.rec_id)
