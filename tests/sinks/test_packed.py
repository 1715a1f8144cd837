"""Rows that waited as bytes are stored, refused and told apart like any others."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.contracts import Batch
from pipeline.model import Lineage
from pipeline.sinks import inserts
from pipeline.sinks.clickhouse import open_sink
from pipeline.sinks.memory import UnpackedRows
from pipeline.sinks.packed import pack
from pipeline.sinks.refused import REASON
from pipeline.store.connection import Connection

Make = Callable[..., Lineage]
T0_S = 1_795_460_243
DAY_S = 86_400
NEVER_S = 2**32
"""No bucket."""


async def held(dsn: str, batch: Batch) -> tuple[set[int], list[int]]:
    """Write a batch; gives which rows are in the store, and the offsets of dead letters."""
    async with open_sink(dsn) as sink:
        refused = await sink.write(batch)
        assert {letter.reason for letter in refused} <= {REASON}
        rows = sink._connection.client.query("SELECT rec_id FROM lineage_rows FINAL").result_columns
        return {rec_id for column in rows for rec_id in column}, [letter.offset for letter in refused]


def names(*rows: Lineage) -> set[int]:
    return {row.rec_id for row in rows}


async def test_packed_rows_and_others_are_stored_together(tmp_path: Path, lineage: Make) -> None:
    rows = [lineage(number) for number in range(9)]
    batch = Batch(rows[6:], (), (), packed=[pack(rows[:3]), pack(rows[3:6])])
    assert await held(f"chdb://{tmp_path}/store", batch) == (names(*rows), [])


async def test_a_bad_row_among_packed_ones_becomes_dead_letters_alone(tmp_path: Path, lineage: Make) -> None:
    good = [lineage(number) for number in range(6)]
    bad = msgspec.structs.replace(lineage(77), bucket_s=NEVER_S)
    assert pack([good[0], bad]).lines == b""
    batch = Batch(good[4:], (), (), packed=[pack(good[:2]), pack([good[2], bad, good[3]])])
    stored, refused = await held(f"chdb://{tmp_path}/store", batch)
    assert stored == names(*good)
    assert sorted(refused) == sorted([bad.edge.offset, *(one.offset for one in bad.attempts)])


async def test_a_packed_row_that_the_engine_refuses_becomes_dead_letters_alone(
    tmp_path: Path, lineage: Make
) -> None:
    good = [lineage(number) for number in range(4)]
    bad = msgspec.structs.replace(lineage(77), rev=-1)
    batch = Batch((), (), (), packed=[pack([*good[:2], bad]), pack(good[2:])])
    stored, refused = await held(f"chdb://{tmp_path}/store", batch)
    assert stored == names(*good)
    assert len(refused) == 1 + len(bad.attempts)


async def test_packed_rows_of_a_hundred_and_fifty_days_are_stored(tmp_path: Path, lineage: Make) -> None:
    rows = [lineage(number, start_s=T0_S - number * DAY_S) for number in range(150)]
    batch = Batch((), (), (), packed=[pack(rows[:70]), pack(rows[70:])])
    assert await held(f"chdb://{tmp_path}/store", batch) == (names(*rows), [])


async def test_rows_that_another_store_has_packed_are_stored_too(tmp_path: Path, lineage: Make) -> None:
    rows = [lineage(number) for number in range(3)]
    batch = Batch((), (), (), packed=[UnpackedRows(rows)])
    assert await held(f"chdb://{tmp_path}/store", batch) == (names(*rows), [])


def test_what_cannot_be_packed_is_given_back_and_found_all_the_same(lineage: Make) -> None:
    rows = [lineage(1), msgspec.structs.replace(lineage(2), bucket_s=NEVER_S)]
    piece = pack(rows)
    assert (len(piece), piece.rows()) == (2, rows)
    assert piece.sharing({rows[1].rec_id}) == [rows[1]]


async def test_packed_rows_have_their_minutes_counted(tmp_path: Path, lineage: Make) -> None:
    rows = [lineage(number, start_s=T0_S - 60 * number) for number in range(5)]
    async with open_sink(f"chdb://{tmp_path}/store") as sink:
        assert not await sink.write(Batch((), (), (), packed=[pack(rows)]))
        await sink.count_minutes(at_once=True)
        counted = sink._connection.client.command("SELECT sum(requests) FROM lineage_minutes")
    assert counted == len(rows)


async def test_what_is_too_large_for_one_statement_is_stored_in_several(
    tmp_path: Path, lineage: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    insert = Connection.insert

    def counted(self: Connection, statement: Any, types: str, lines: Iterable[bytes], **more: Any) -> None:
        whole = list(lines)
        sent.append(sum(map(len, whole)))
        insert(self, statement, types, whole, **more)

    rows = [lineage(number) for number in range(40)]
    monkeypatch.setattr(Connection, "insert", counted)
    monkeypatch.setattr(inserts, "_MOST_BYTES", 10_000)
    batch = Batch(rows[20:], (), (), packed=[pack(rows[:20])])
    assert await held(f"chdb://{tmp_path}/store", batch) == (names(*rows), [])
    assert max(sent) <= 10_000
    assert len(sent) > 3
