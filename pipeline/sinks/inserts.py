"""I/O, blocking: what is written, cut so that the store takes it; what it will never take is told apart.

A row and the tombstone of what it absorbed go in one insert. A block that is refused for what it holds is halved
until the culprit stands alone.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeVar

from pipeline.contracts import Batch, Fragment
from pipeline.model import DeadLetter, EdgeEvent, Lineage
from pipeline.sinks.bisect import put_bisecting
from pipeline.sinks.packed import PackedRows, pack
from pipeline.sinks.partitions import MOST_PARTITIONS, by_day, day_of_arrival, days_of, partitioned
from pipeline.sinks.refused import dead_letters_of
from pipeline.sinks.rollups import Rollups, minutes_of
from pipeline.store.connection import Connection, Refused
from pipeline.store.fragments import STRUCTURE as FRAGMENTS
from pipeline.store.fragments import encode_fragments
from pipeline.store.fragments import insert_statement as fragments_statement
from pipeline.store.ledger import LEDGER
from pipeline.store.rows import encode_lineages
from pipeline.store.side_rows import DEAD_LETTERS, EVENTS, SideTable
from pipeline.store.statements import insert_statement, structure

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_SideRow = TypeVar("_SideRow", EdgeEvent, DeadLetter)

_STRUCTURE = structure()
_PIECE = 1000
"""Rows that are encoded at once."""
_MOST_BYTES = 256 * 2**20
"""Of one statement: what is larger is halved, as a server would refuse it for its memory."""


class Inserts:
    """Writes over one connection, on one thread.

    Args:
        connection: Open, with the schema applied.
        rollups: Remembers the minutes that are written.
        is_server: Whether an answer may be lost after the rows were stored.
    """

    def __init__(self, connection: Connection, rollups: Rollups, *, is_server: bool) -> None:
        self._connection, self._rollups, self._is_server = connection, rollups, is_server

    def write(self, batch: Batch) -> list[DeadLetter]:
        """Write a batch; gives the dead letters that were made of rows the store will never take.

        Raises:
            StoreUnavailable: It may pass later.
        """
        refused: list[DeadLetter] = []
        pieces = _pieces(batch)
        minutes = minutes_of(batch.lineages).union(*(piece.minutes for piece in pieces))
        with self._rollups.writing(self._connection, minutes):
            for lineage, reason in self._put_all(pieces, batch.lineages):
                _log.error("the store refuses a lineage for what it holds (%s); kept as dead letters", reason)
                refused += dead_letters_of(lineage, reason)
        self._put_side(EVENTS, batch.events)
        self._put_side(DEAD_LETTERS, [*batch.dead_letters, *refused])
        if batch.ledger:
            self._put(LEDGER.insert_statement, LEDGER.structure, LEDGER.encode, batch.ledger)
        return refused

    def _put_all(
        self, pieces: Sequence[PackedRows], lineages: Sequence[Lineage]
    ) -> Iterable[tuple[Lineage, str]]:
        """Put rows; gives those that are refused, and why. Packed ones are read back only to find such."""
        is_packed = pieces and not any(piece.left for piece in pieces)
        if is_packed and len(days_of(lineages).union(*(piece.days for piece in pieces))) <= MOST_PARTITIONS:
            lines = chain((piece.lines for piece in pieces), _encoded(encode_lineages, lineages))
            try:
                self._send(insert_statement, _STRUCTURE, _bounded(lines))
            except Refused:
                pass  # halving tells which, or makes them fit
            else:
                return
        for rows in partitioned([*chain.from_iterable(piece.rows() for piece in pieces), *lineages]):
            yield from put_bisecting(rows, self._put_lineages)

    def _put_side(self, table: SideTable[_SideRow], rows: Sequence[_SideRow]) -> None:
        def put(part: Sequence[_SideRow]) -> None:
            self._put(table.insert_statement, table.structure, table.encode, part)

        for part in by_day(rows, lambda row: day_of_arrival(row.arrival_ns)):
            for row, reason in put_bisecting(part, put):
                _log.error(
                    "%s refuses the row of offset %d for what it holds: %s", table.name, row.offset, reason
                )

    def keep(self, fragments: Sequence[Fragment]) -> None:
        """Keep records by themselves.

        Raises:
            StoreUnavailable: It may pass later.
        """

        def put(part: Sequence[Fragment]) -> None:
            self._put(fragments_statement, FRAGMENTS, encode_fragments, part)

        put_bisecting(fragments, put)

    def _put_lineages(self, rows: Sequence[Lineage]) -> None:
        self._put(insert_statement, _STRUCTURE, encode_lineages, rows)

    def _put(
        self,
        statement: Callable[[str], str],
        types: str,
        encode: Callable[[Sequence[_T]], bytes],
        rows: Sequence[_T],
    ) -> None:
        lines = _encoded(encode, rows)
        self._send(statement, types, _bounded(lines) if len(rows) > 1 else lines)

    def _send(self, statement: Callable[[str], str], types: str, lines: Iterable[bytes]) -> None:
        if not self._is_server:
            self._connection.insert(statement, types, lines)
            return
        whole = list(lines)
        self._connection.insert(statement, types, whole, token=_token(whole))


def _pieces(batch: Batch) -> list[PackedRows]:
    """Give what is packed as `pack` packs it; rows that another store has packed are packed anew."""
    return [piece if isinstance(piece, PackedRows) else pack(piece.rows()) for piece in batch.packed]


def _encoded(encode: Callable[[Sequence[_T]], bytes], rows: Sequence[_T]) -> Iterator[bytes]:
    """Encode rows piece by piece: what is written into memory that is there already costs a quarter less.

    Raises:
        Refused: One of them cannot be encoded.
    """
    for at in range(0, len(rows), _PIECE):
        try:
            yield encode(rows[at : at + _PIECE])
        except (ValueError, OverflowError, TypeError) as error:
            raise Refused("cannot_encode") from error


def _bounded(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Pass on what fits into one statement.

    Raises:
        Refused: There is more.
    """
    total = 0
    for piece in lines:
        total += len(piece)
        if total > _MOST_BYTES:
            raise Refused("too large for one statement", by_content=False)
        yield piece


def _token(lines: Iterable[bytes]) -> str:
    """Name a block for a server, where an answer can be lost after the rows were stored."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in lines:
        digest.update(piece)
    return digest.hexdigest()
