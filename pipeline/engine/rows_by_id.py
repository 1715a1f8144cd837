"""Rows by every id that they can be found by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pipeline.contracts import LookupKey
from pipeline.model import Lineage, StoreKey


class RowsById:
    """An index of rows; a later one with the same key replaces an earlier one."""

    def __init__(self, rows: Iterable[Lineage] = ()) -> None:
        self._rows: defaultdict[str | int, dict[StoreKey, Lineage]] = defaultdict(dict)
        self.add(rows)

    def add(self, rows: Iterable[Lineage]) -> None:
        """Take rows in."""
        for row in rows:
            name = StoreKey(row.bucket_s, row.request_id, row.rec_id)
            for row_id in row.ids():
                self._rows[row_id][name] = row

    def count(self, row_id: str) -> int:
        """How many rows share an id."""
        return len(self._rows.get(row_id, ()))

    def sharing(self, key: LookupKey) -> list[Lineage]:
        """Give the rows that share an id or a name with a key, each once."""
        found: dict[StoreKey, Lineage] = {}
        for row_id in key.ids:
            found |= self._rows.get(row_id, {})
        return list(found.values())

    def newest(self, stored: Iterable[Lineage], key: LookupKey) -> list[Lineage]:
        """Give stored rows and those that share an id with a key, live ones, the highest `rev` of each."""
        newest: dict[StoreKey, Lineage] = {}
        for row in (*stored, *self.sharing(key)):
            name = StoreKey(row.bucket_s, row.request_id, row.rec_id)
            if name not in newest or row.rev >= newest[name].rev:
                newest[name] = row
        return [row for row in newest.values() if not row.is_deleted]
