"""Two writers that race on halves of the same requests leave every lineage whole."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.bus.memory import MemoryBus
from pipeline.clock import ManualClock
from pipeline.contracts import MOST_PER_ID, Batch, Fragment, LookupKey
from pipeline.engine import Progress
from pipeline.engine.draft import Draft
from pipeline.engine.writing import WriteStage
from pipeline.formats.text import identity_hash
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.join.resolve import resolve
from pipeline.model import (
    DeadLetter,
    Delivery,
    EdgeRecord,
    GatewayRecord,
    Lineage,
    OutcomeKind,
    Source,
    Timers,
)
from pipeline.sinks.memory import MemoryStore

T0_US = 1_795_460_243_000_000
FACE = Path(__file__).parents[1] / "store" / "http_face.py"
WRITER = Path(__file__).with_name("writer_of_halves.py")
Record = EdgeRecord | GatewayRecord


class _Interleaved(MemoryStore):
    """A store whose answers take their time, so that writers overtake each other everywhere."""

    def __init__(self, seed: int) -> None:
        super().__init__(is_shared=True)
        self._random = random.Random(seed)

    async def keep(self, fragments: Sequence[Fragment]) -> None:
        await self._turns()
        await super().keep(fragments)
        await self._turns()

    async def find_kept(self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID) -> list[Record]:
        await self._turns()
        found = await super().find_kept(keys, most_per_id=most_per_id)
        await self._turns()
        return found

    async def find_stored(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[Lineage]:
        await self._turns()
        found = await super().find_stored(keys, most_per_id=most_per_id)
        await self._turns()
        return found

    async def write(self, batch: Batch) -> list[DeadLetter]:
        await self._turns()
        refused = await super().write(batch)
        await self._turns()
        return refused

    async def _turns(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)


def _records(requests: int, rng: random.Random) -> list[list[Record]]:
    """Make requests: an edge record, sometimes a second node's or none, and up to three attempts."""
    made: list[list[Record]] = []
    for number in range(requests):
        request_id, start_us = f"edge-made-id-{number:04}", T0_US + number * 1_000_000
        ids = [f"{number:016x}{index:016x}" for index in range(rng.randrange(4))]
        records: list[Record] = [
            GatewayRecord(
                attempt_id=identity_hash(one), offset=0, request_ids=(request_id,), started_us=start_us + index,
                gateway_request_id=one, status=200, method="GET", path="/",
            )
            for index, one in enumerate(ids)
        ]  # fmt: skip
        records += [
            EdgeRecord(
                rec_id=identity_hash(request_id, str(node)), offset=0, request_id=request_id, server="kong1",
                start_us=start_us + node, gateway_request_id=rng.choice([None, *ids]), status=200,
                timers=Timers(0, 0, 0, 6, 0, 6, 0, 0), termination="----", retries=rng.randrange(3),
            )
            for node in range(rng.choice([0, 1, 1, 1, 2]))
        ]  # fmt: skip
        made.append(records)
    return made


def _bare(row: Lineage) -> tuple[object, ...]:
    edge = row.edge.rec_id if row.edge else 0
    flags = tuple(flag for flag in row.flags if flag != "late")
    attempts = tuple(one.attempt_id for one in row.attempts)
    return row.bucket_s, row.request_id, row.rec_id, row.outcome, row.match, row.missing, row.final, edge, attempts, flags  # fmt: skip


async def _write(store: MemoryStore, share: list[Record], rng: random.Random) -> MemoryBus:
    """One writer: its share of the records, in order and in batches of its own."""
    bus = MemoryBus()
    stage = WriteStage(bus=bus, store=store, clock=ManualClock(), progress=Progress())
    joiner = Joiner(JoinLimits(30 * 10**9, 1000, 64))
    for record in share:
        source = Source.HAPROXY if isinstance(record, EdgeRecord) else Source.KONG
        offset = bus.end
        await bus.append(Delivery(source, [b""], 0, ""))
        fields = {name: getattr(record, name) for name in record.__struct_fields__} | {"offset": offset}
        joiner.add(type(record)(**fields), T0_US * 1000 + 3600 * 10**9)
        if rng.random() < 0.5:
            await stage.write(Draft(0, groups=joiner.flush()))
    await stage.write(Draft(0, groups=joiner.flush()))
    return bus


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), writers=st.integers(2, 3))
def test_whoever_overtakes_whom_the_lineages_are_those_of_one_writer(seed: int, writers: int) -> None:
    rng = random.Random(seed)
    requests = _records(rng.randrange(1, 5), rng)
    shares: list[list[Record]] = [[] for _ in range(writers)]
    for record in (one for records in requests for one in records):
        rng.choice(shares).append(record)
    for share in shares:
        rng.shuffle(share)
    store = _Interleaved(seed)

    async def race() -> list[MemoryBus]:
        return await asyncio.gather(*(_write(store, share, random.Random(seed)) for share in shares))

    buses = asyncio.run(race())
    expected = [
        row
        for records in requests
        for row in resolve(
            [one for one in records if isinstance(one, EdgeRecord)],
            [one for one in records if isinstance(one, GatewayRecord)],
        )
    ]
    assert sorted(map(_bare, store.lineages)) == sorted(map(_bare, expected))
    for bus, share in zip(buses, shares, strict=True):
        account = bus.account()
        assert not any(account.pending.values())
        stored = sum(n for outcome, n in account.outcomes.items() if outcome.kind is OutcomeKind.STORED)
        assert stored == len(share)


@pytest.fixture
def face(tmp_path: Path) -> Any:
    """A server's HTTP face, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, FACE, tmp_path / "face"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"clickhouse://127.0.0.1:{int(process.stdout.readline())}/race"
        process.stdin.close()


def _start(dsn: str, half: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, WRITER, dsn, half], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_that_write_halves_at_once_leave_each_lineage_complete(
    face: str, schema_applied: Callable[[str], None], rows_of: Callable[[str], list[Lineage]]
) -> None:
    schema_applied(face)
    writers = [_start(face, half) for half in ("edges", "attempts")]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    answers = [writer.communicate(timeout=120)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert answers == ["300 stored\n", "300 stored\n"]
    rows = rows_of(face)
    assert len(rows) == 300
    assert {(row.outcome, row.missing, row.final) for row in rows} == {("complete", None, True)}
