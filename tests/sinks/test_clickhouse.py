"""The sink where things go wrong: refused rows, lost answers, a store that is away, a kill."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from pipeline.contracts import Batch, LookupKey
from pipeline.errors import ConfigError, StoreUnavailable
from pipeline.model import Lineage
from pipeline.sinks.clickhouse import ClickHouseSink, open_sink
from pipeline.sinks.partitions import partitioned
from pipeline.sinks.refused import REASON
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.side_rows import DEAD_LETTERS

Make = Callable[..., Lineage]


class Face(Protocol):
    """`conftest.Face`."""

    def fail(self, **counts: int) -> None: ...

    def fresh(self) -> str: ...


T0_S = 1_795_460_243


async def rows_of(sink: ClickHouseSink, *request_ids: str) -> list[Lineage]:
    return await sink.find_stored([LookupKey(T0_S, request_ids, ())])


async def test_a_bad_row_becomes_dead_letters_and_the_rest_is_stored(tmp_path: Path, lineage: Make) -> None:
    rows = [lineage(number) for number in range(40)]
    rows[7] = lineage(7, server_port=-1)
    rows[9] = lineage(9, path="\ud800")
    async with open_sink(f"chdb://{tmp_path}/store") as sink:
        refused = await sink.write(Batch(rows, (), ()))
        assert [(letter.offset, letter.detail) for letter in refused] == [
            (14, "CANNOT_PARSE_NUMBER"),
            (15, "CANNOT_PARSE_NUMBER"),
            (18, "cannot_encode"),
            (19, "cannot_encode"),
        ]
        assert len(await rows_of(sink, *(row.request_id for row in rows))) == 38
    reader = connect(parse_dsn(f"chdb://{tmp_path}/store"))
    assert sorted(DEAD_LETTERS.read(reader.client), key=lambda one: one.offset) == refused
    assert {letter.reason for letter in refused} == {REASON}
    reader.close()


async def test_a_lost_answer_may_pass_later_and_the_rows_stand_once(face: Face, lineage: Make) -> None:
    rows = [lineage(number) for number in range(100)]
    async with open_sink(face.fresh()) as sink:
        face.fail(lose=1)
        with pytest.raises(StoreUnavailable):
            await sink.write(Batch(rows, (), ()))
        await sink.write(Batch(rows, (), ()))
        assert len(await rows_of(sink, *(row.request_id for row in rows))) == 100
        described = await sink.describe()
        assert described["rows"]["lineage_rows"] == 100, "the same block again was stored again"


async def test_too_many_parts_may_pass_later(face: Face, lineage: Make) -> None:
    async with open_sink(face.fresh()) as sink:
        face.fail(refuse=1)
        with pytest.raises(StoreUnavailable, match="Too many parts"):
            await sink.write(Batch([lineage(1)], (), ()))
        assert not await sink.write(Batch([lineage(1)], (), ()))


async def test_a_store_that_is_away_says_so_for_look_ups_too(face: Face) -> None:
    async with open_sink(face.fresh()) as sink:
        face.fail(refuse=2)
        with pytest.raises(StoreUnavailable):
            await sink.find_stored([LookupKey(T0_S, ("request-1",), ())])
        with pytest.raises(StoreUnavailable):
            await sink.describe()


async def test_errors_do_not_carry_what_rows_hold(
    tmp_path: Path, lineage: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_sink(f"chdb://{tmp_path}/store") as sink:
        await sink.write(Batch([lineage(1, path="/very-private", server_port=-1)], (), ()))
    assert "CANNOT_PARSE_NUMBER" in caplog.text
    assert "very-private" not in caplog.text


async def test_a_server_without_our_schema_says_what_to_run(face: Face) -> None:
    dsn = face.fresh().rpartition("/")[0] + "/empty"
    connect(parse_dsn(dsn, {}), create=True).close()
    with pytest.raises(ConfigError, match="run hoptrail schema apply"):
        async with open_sink(dsn):
            pass


async def test_only_what_was_there_at_the_start_may_be_held(tmp_path: Path, lineage: Make) -> None:
    dsn = f"chdb://{tmp_path}/store"
    async with open_sink(dsn) as sink:
        await sink.write(Batch([lineage(1)], (), ()))
        assert not sink.may_hold(T0_S)
    async with open_sink(dsn) as sink:
        assert sink.may_hold(T0_S)
        assert not sink.may_hold(T0_S + 2 * 86_400)


async def test_describe_tells_sizes_and_range(tmp_path: Path, lineage: Make) -> None:
    async with open_sink(f"chdb://{tmp_path}/store") as sink:
        empty = await sink.describe()
        assert (empty["first_bucket"], empty["last_bucket"]) == (None, None)
        await sink.write(Batch([lineage(1), lineage(2, start_s=T0_S + 60)], (), ()))
        described = await sink.describe()
    assert described["dsn"] == f"chdb://{tmp_path}/store"
    assert described["rows"]["lineage_rows"] == 2
    assert described["bytes_on_disk"] > 0
    assert (described["first_bucket"], described["last_bucket"]) == (
        "2026-11-23T18:57:23Z",
        "2026-11-23T18:58:23Z",
    )


def test_no_part_of_a_batch_spans_more_than_a_hundred_days(lineage: Make) -> None:
    rows = [lineage(number, start_s=T0_S - number % 250 * 86_400) for number in range(1000)]
    parts = list(partitioned(rows))
    assert all(len({row.bucket_s // 86_400 for row in part}) <= 100 for part in parts)
    assert sorted(row.request_id for part in parts for row in part) == sorted(row.request_id for row in rows)
    assert list(partitioned(rows[:100])) == [rows[:100]]


async def test_what_was_acknowledged_before_a_kill_is_there_once(tmp_path: Path, lineage: Make) -> None:
    """SIGKILL in mid-insert, again and again: every acknowledged row stands, none twice, none torn."""
    store, acknowledged = tmp_path / "store", 0
    for round_ in range(3):
        acknowledged = max(acknowledged, _write_until_killed(store, after=3 + round_))
        async with open_sink(f"chdb://{store}") as sink:
            found = await rows_of(sink, *(f"request-{number}" for number in range(acknowledged)))
            assert {row.request_id: row for row in found} == {
                f"request-{number}": lineage(number) for number in range(acknowledged)
            }
            assert len(found) == acknowledged


def _write_until_killed(store: Path, after: int) -> int:
    """Write batches of 500 in another process, kill it after so many; gives how many rows it acknowledged."""
    writer = Path(__file__).with_name("writer_of_rows.py")
    with subprocess.Popen([sys.executable, writer, store], stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    return int([line for line in lines if line.endswith("\n")][-1])


async def test_two_loops_may_use_one_sink(tmp_path: Path, lineage: Make) -> None:
    """The engine has a loop of its own beside that of the listeners."""
    async with open_sink(f"chdb://{tmp_path}/store") as sink:
        await asyncio.to_thread(lambda: asyncio.run(sink.write(Batch([lineage(1)], (), ()))))
        assert len(await rows_of(sink, "request-1")) == 1
