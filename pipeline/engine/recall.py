"""What the store already holds of the groups that are about to be written.

One question a draft, however many groups: those that are late, those whose place in the store held rows when
the process began, and, in a store that others write to, those of which a half is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

from pipeline.contracts import Fragment, LookupKey, Store
from pipeline.engine.faults import NOT_THE_RECORDS, Faults
from pipeline.engine.rows_by_id import RowsById
from pipeline.join.group import Group
from pipeline.join.links import last_id
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage

_T = TypeVar("_T")


class _Insist(Protocol):
    async def __call__(self, act: Callable[[], Awaitable[_T]]) -> _T: ...


class Recalled(NamedTuple):
    """What is known of a draft's groups, by their index."""

    rows: dict[int, list[Lineage]]
    """Rows that may belong to a group; a group that was not asked for is absent."""
    broken: dict[int, str]
    """Groups of which not even the place can be told, and why."""
    keys: Mapping[int, LookupKey] = MappingProxyType({})
    """What was asked for."""
    entangled: Container[int] = ()
    """Groups that may belong to a row that is made of another group of the draft."""
    kept: Mapping[int, list[Lineage]] = MappingProxyType({})
    """Single records that writers, we among them, have kept, each as the row that it would be alone."""


def asker(store: Store) -> Callable[[Group], bool]:
    """Give what says, of groups that close at one time, whether the store must be asked about one.

    It raises where not even the place of a group can be told.
    """
    may_hold = lru_cache(maxsize=None)(store.may_hold)  # such groups have few buckets
    is_shared = store.is_shared

    def must_ask(group: Group) -> bool:
        lacks_half = is_shared and group.closed in {"window", "evicted"}
        return lacks_half or group.look_up or may_hold(group.bucket_s())

    return must_ask


class Recall:
    """Asks the store.

    Args:
        store: Where rows may be.
        insist: Runs a question until it is answered.
        most_per_id: Rows that may share an id; above it the id is a constant, and nothing is joined on it.
        shun: Told of each such id.
    """

    def __init__(
        self, store: Store, insist: _Insist, faults: Faults, most_per_id: int, shun: Callable[[str], None]
    ) -> None:
        self._store = store
        self._insist = insist
        self._faults = faults
        self._most = most_per_id
        self._shun = shun

    async def of(self, groups: Sequence[Group]) -> Recalled:
        """Look up what may be stored; groups whose id turns out a constant become `crowded`."""
        asked, broken = self._asked(groups)
        if not asked:
            return Recalled({}, broken)
        kept = await self._kept(groups, asked) if self._store.is_shared else None
        rows = RowsById(await self._find(asked.values()))
        again: dict[int, LookupKey] = {}
        constants = self._constants(rows, asked.values())
        for index, key in asked.items():
            if constants.isdisjoint(key.request_ids):
                continue
            if not constants.isdisjoint(_own_ids(groups[index])):
                groups[index].crowded = True
                again[index] = groups[index].lookup_key()
            asked[index] = key._replace(
                request_ids=tuple(one for one in key.request_ids if one not in constants)
            )
        if again:
            rows.add(await self._find(again.values()))
            asked |= again
        found = {index: rows.sharing(key) for index, key in asked.items()}
        others = {} if kept is None else {index: kept.sharing(key) for index, key in asked.items()}
        is_all = len(asked) + len(broken) == len(groups)
        entangled = _entangled(asked, found, others) if is_all else asked
        return Recalled(found, broken, asked, entangled, others)

    async def _kept(self, groups: Sequence[Group], asked: dict[int, LookupKey]) -> RowsById:
        """Keep the records of the groups, then read what has been kept.

        Who of two racing writers does this last finds what the other has: so one of them writes it all, under
        a higher `rev` than the other, who writes less.
        """
        fragments = [
            Fragment(row.bucket_s, record)
            for index in asked
            if groups[index].closed != "pending"
            for record in groups[index].records
            for row in _alone(record)
        ]
        if fragments:
            await self._insist(lambda: self._store.keep(fragments))
        wanted = list(asked.values())
        most = self._most + 1
        kept = await self._insist(lambda: self._store.find_kept(wanted, most_per_id=most))
        return RowsById(row for record in kept for row in _alone(record))

    def _asked(self, groups: Sequence[Group]) -> tuple[dict[int, LookupKey], dict[int, str]]:
        asked: dict[int, LookupKey] = {}
        broken: dict[int, str] = {}
        must_ask = asker(self._store)
        for index, group in enumerate(groups):
            try:
                if must_ask(group):
                    asked[index] = group.lookup_key()
            except NOT_THE_RECORDS:
                raise
            except Exception as error:  # noqa: BLE001 -- a hostile record may not stop its neighbours
                broken[index] = self._faults.tell("placing a group", error)
        return asked, broken

    async def _find(self, keys: Iterable[LookupKey]) -> list[Lineage]:
        wanted = list(keys)
        return await self._insist(lambda: self._store.find_stored(wanted, most_per_id=self._most + 1))

    def _constants(self, rows: RowsById, keys: Iterable[LookupKey]) -> set[str]:
        """Find the ids that more rows share than one request can have."""
        constants = {one for key in keys for one in key.request_ids if rows.count(one) > self._most}
        for constant in constants:
            self._shun(constant)
        return constants


def _entangled(asked: Mapping[int, LookupKey], *rows: Mapping[int, Sequence[Lineage]]) -> set[int]:
    """Find the groups that share an id, or a row that the store holds, with another."""
    ids = Counter(one for key in asked.values() for one in key.ids)
    tied = Counter(id(row) for some in rows for of_one in some.values() for row in of_one)
    return {
        index
        for index, key in asked.items()
        if any(ids[one] > 1 for one in key.ids)
        or any(tied[id(row)] > 1 for some in rows for row in some.get(index, ()))
    }


def _alone(record: EdgeRecord | GatewayRecord) -> list[Lineage]:
    """Give the row that a record would be alone; none for one that no row can be made of."""
    try:
        return resolve([record], []) if isinstance(record, EdgeRecord) else resolve([], [record])
    except NOT_THE_RECORDS:
        raise
    except Exception:  # noqa: BLE001 -- settling its group fails too, and tells of it
        return []


def _own_ids(group: Group) -> set[str]:
    """Give the ids that a group stands or falls with: its edge records', else those its attempts go by."""
    if group.edges:
        return {edge.request_id for edge in group.edges}
    return {last_id(attempt) for attempt in group.attempts}
