"""A server that is away, slow, or lost in mid-insert: nothing acknowledged is lost, nothing is there twice.

The real rooms in one process: journal, engine and sink, the ClickHouse-HTTP face in a process of its own, and a
proxy between them that cuts.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from starlette.responses import PlainTextResponse

from pipeline.bus.journal import Journal, open_journal
from pipeline.clock import Clock, ManualClock, SystemClock
from pipeline.config import Config
from pipeline.engine import Engine
from pipeline.errors import BusFull
from pipeline.model import Delivery, OutcomeKind, Source
from pipeline.parsers import make_parsers
from pipeline.sinks.clickhouse import ClickHouseSink, open_sink
from pipeline.sources.http_log import IngestApp
from pipeline.sources.stats import SourceStats
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn
from pipeline.topology import make_engine

T0_S = 1_795_460_243
PATIENCE_S = 120.0
CAP = 2**22
BATCH = 200
HALF_AN_HOUR_S = 1800


class Face(Protocol):
    """`conftest.Face`."""

    address: str

    def fresh(self) -> str: ...


def line(number: int) -> bytes:
    """Write what HAProxy logs of a request."""
    start_us = T0_S * 1_000_000 + number * 1000
    fields = {
        "v": "hap-req/1", "id": f"00000000-0000-4000-8000-{number:012d}", "tp": "", "node": "edge-1", "pid": 7,
        "rt": number, "lc": number, "acc": f"{T0_S}.000", "req_us": str(start_us), "end_us": str(start_us + 6000),
        "ci": "203.0.113.9", "cp": "40001", "fe": "edge", "be": "kong", "srv": "kong1", "Th": 0, "Ti": 0,
        "TR": 0, "Tw": 0, "Tc": 0, "Tr": 6, "Td": 0, "Ta": "6", "st": 200, "ts": "----", "rc": "0", "B": "778",
        "U": "120", "m": "GET", "host": "api.example.com", "path": "/" + "x" * 200, "q": "", "hv": "1",
        "ua": "test", "kong_rid": f"{number:032x}", "end": 1,
    }  # fmt: skip
    return b"<134>1 2026-11-23T18:57:23.000000+00:00 edge-1 haproxy 7 - - " + json.dumps(fields).encode()


def entry(number: int) -> bytes:
    """Write what Kong logs of it."""
    start_us = T0_S * 1_000_000 + number * 1000
    return json.dumps(
        {
            "request": {
                "id": f"{number:032x}",
                "method": "GET",
                "uri": "/",
                "headers": {
                    "x-request-id": f"00000000-0000-4000-8000-{number:012d}",
                    "x-request-start": f"t={start_us}",
                },
            },
            "response": {"status": 200, "size": 778, "headers": {}},
            "latencies": {"kong": 2, "proxy": 3, "receive": 1, "request": 6},
            "started_at": start_us // 1000,
            "client_ip": "203.0.113.9",
            "tries": [
                {"ip": "10.0.0.1", "port": 8080, "balancer_start": start_us // 1000, "balancer_latency": 0}
            ],
        }
    ).encode()


@dataclass
class Life:
    """A process: what it took, and what came of it."""

    journal: Journal
    sink: ClickHouseSink
    engine: Engine
    clock: Clock
    dsn: str
    kong: httpx.AsyncClient
    acknowledged: int = 0
    """Requests of which both halves were taken."""
    has_kong: bool = False
    """Of the next one Kong's half was."""

    async def post(self, number: int) -> int:
        """Post Kong's entry; gives the status."""
        answer = await self.kong.post(
            "/ingest/kong", content=entry(number), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 200 or answer.headers["retry-after"]
        return answer.status_code

    async def take(self) -> bool:
        """Take one request, both halves, as the listeners do; what was refused is given again the next time."""
        number = self.acknowledged
        if not self.has_kong and await self.post(number) != 200:
            return False
        self.has_kong = True
        try:
            await self.journal.append(
                Delivery(Source.HAPROXY, [line(number)], self.clock.now_ns(), "192.0.2.7")
            )
        except BusFull:
            return False
        self.acknowledged, self.has_kong = number + 1, False
        return True

    async def until(self, is_so: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(within_s):
            while not is_so():
                await asyncio.sleep(0.01)
                if isinstance(self.clock, ManualClock):
                    self.clock.turn_to(self.clock.now_ns() + 10**9)

    async def all_is_stored_once(self) -> None:
        """Wait until everything is committed; then every request that was taken stands, whole and once."""
        await self.until(lambda: self.journal.committed == self.journal.end)
        kinds = {outcome.kind for outcome in self.journal.account().outcomes}
        assert kinds <= {OutcomeKind.STORED, OutcomeKind.DUPLICATE}
        reader = connect(parse_dsn(self.dsn, {}))
        rows = reader.client.query(
            "SELECT count(), uniqExact(request_id), countIf(outcome = 'complete'), sum(length(`attempts.offset`)) FROM lineage"
        ).result_rows
        reader.close()
        assert rows == [(self.acknowledged,) * 4]


Living = Callable[..., Any]


@pytest.fixture
def living(tmp_path: Path) -> Living:
    """Run a process against a store behind an address."""

    @asynccontextmanager
    async def live(dsn: str, through: str, clock: Clock) -> AsyncIterator[Life]:
        config = Config.model_validate(
            {
                "data_dir": tmp_path,
                "store": {"dsn": f"clickhouse://{through}/{dsn.rpartition('/')[2]}", "batch_rows": BATCH},
                "redaction": {"key_file": tmp_path / "key"},
            }
        )
        (tmp_path / "key").write_bytes(b"only for these tests, no secret")
        async with (
            open_journal(tmp_path / "journal", CAP) as journal,
            open_sink(config.store_dsn, clock) as sink,
        ):
            engine = make_engine(
                config, bus=journal, store=sink, clock=clock, parsers=make_parsers(config), event_time=False
            )
            stats = SourceStats()
            app = IngestApp(config.sources.kong, journal, clock, stats, fallback=PlainTextResponse(""))
            async with (
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://kong") as kong,
                asyncio.TaskGroup() as tasks,
            ):
                running = tasks.create_task(engine.run())
                life = Life(journal, sink, engine, clock, dsn, kong)
                yield life
                engine.drain(flush=True)
                await asyncio.wait_for(running, PATIENCE_S)

    return live


async def _filled(life: Life) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await life.take():
            pass
        while await life.post(life.acknowledged) == 200:
            pass


async def test_a_server_that_is_down_for_half_an_hour_costs_nothing_but_a_full_journal(
    face: Face, living: Living, proxied: Callable[..., Any], tmp_path: Path
) -> None:
    """The clock is turned by hand; what comes until the journal is full is stored, the rest Kong is told to keep."""
    clock = ManualClock(T0_S * 10**9)
    async with proxied(face.address) as proxy, living(face.fresh(), proxy.address, clock) as life:
        for _ in range(BATCH):
            assert await life.take()
        await life.until(lambda: life.engine.progress.batches_written > 0)
        proxy.go_away()
        await _filled(life)
        clock.turn_to((T0_S + HALF_AN_HOUR_S) * 10**9)
        assert await life.post(life.acknowledged) == 503
        assert life.journal.fill == pytest.approx(1.0, abs=0.1)
        await life.until(lambda: life.engine.progress.write_errors >= 2)
        unread = life.engine.progress.records_read - 2 * BATCH
        assert unread <= 8 * BATCH + 4000, "the engine read on although nothing could be written"
        segments = sum(file.stat().st_size for file in (tmp_path / "journal").glob("*.log"))
        assert segments <= 2 * CAP, "the cap, and one segment's allocation"
        proxy.come_back()
        await life.until(lambda: life.journal.fill < 1.0)
        assert await life.take()
        await life.all_is_stored_once()
        assert life.acknowledged > 1000


async def test_connections_lost_in_mid_insert_lose_and_double_nothing(
    face: Face, living: Living, proxied: Callable[..., Any]
) -> None:
    async with proxied(face.address) as proxy, living(face.fresh(), proxy.address, SystemClock()) as life:
        proxy.cut_requests = 4
        for _ in range(6 * BATCH):
            assert await life.take()
        await life.until(lambda: proxy.cut_requests == 0)
        await life.all_is_stored_once()
        assert life.engine.progress.write_errors > 0


async def test_answers_lost_after_the_insert_lose_and_double_nothing(
    face: Face, living: Living, proxied: Callable[..., Any]
) -> None:
    async with proxied(face.address) as proxy, living(face.fresh(), proxy.address, SystemClock()) as life:
        proxy.cut_answers = 4
        for _ in range(6 * BATCH):
            assert await life.take()
        await life.until(lambda: proxy.cut_answers == 0)
        await life.all_is_stored_once()
        assert life.engine.progress.write_errors > 0


async def test_while_a_server_does_not_answer_everybody_is_acknowledged(
    face: Face, living: Living, proxied: Callable[..., Any]
) -> None:
    """Far more is taken than a batch holds; when the answer comes at last, all of it is stored."""
    async with proxied(face.address) as proxy, living(face.fresh(), proxy.address, SystemClock()) as life:
        proxy.answering.clear()
        for _ in range(5 * BATCH):
            assert await life.take()
        assert life.engine.progress.batches_written == 0
        proxy.answering.set()
        await life.all_is_stored_once()


@pytest.mark.soak
@pytest.mark.timeout(HALF_AN_HOUR_S + 600)
async def test_half_an_hour_by_the_real_clock(
    face: Face, living: Living, proxied: Callable[..., Any]
) -> None:
    """A request every second meanwhile; `HOPTRAIL_TEST_OUTAGE_S` shortens it."""
    seconds = int(os.environ.get("HOPTRAIL_TEST_OUTAGE_S", str(HALF_AN_HOUR_S)))
    async with proxied(face.address) as proxy, living(face.fresh(), proxy.address, SystemClock()) as life:
        proxy.go_away()
        for _ in range(seconds):
            await life.take()
            await asyncio.sleep(1)  # the outage itself
        assert life.engine.progress.batches_written == 0
        proxy.come_back()
        await life.all_is_stored_once()
