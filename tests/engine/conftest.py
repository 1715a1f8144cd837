"""An engine between a bus and a store in memory, fed with records rather than lines."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import pytest

from pipeline.bus.memory import MemoryBus
from pipeline.clock import ManualClock
from pipeline.contracts import Store
from pipeline.engine import Engine, EngineLimits
from pipeline.engine.draft import Draft, ParseStage
from pipeline.formats.redact import Redactor
from pipeline.formats.text import identity_hash
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.model import Delivery, EdgeRecord, GatewayRecord, Lineage, OutcomeKind, Source, Timers
from pipeline.sinks.memory import MemoryStore
from pipeline.store import schema
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.statements import FORMAT, TABLE, select_list
from pipeline.store.stored_rows import decode_lineages

T0_NS = 1_795_460_243_000_000_000
Record = EdgeRecord | GatewayRecord


class Reader:
    """A parser whose lines are the names of records; it looks at nothing that they hold."""

    def __init__(self) -> None:
        self.records: dict[bytes, Record] = {}

    def parse(self, body: bytes, *, offset: int, arrival_ns: int, peer: str) -> Record:  # noqa: ARG002 -- as the formats
        return msgspec.structs.replace(self.records[body], offset=offset)


@dataclass
class Process:
    """One life of a process; the same bus and store again are its next life."""

    bus: MemoryBus = field(default_factory=MemoryBus)
    store: Store = field(default_factory=MemoryStore)
    reader: Reader = field(default_factory=Reader)
    clock: ManualClock = field(default_factory=lambda: ManualClock(T0_NS))
    most_per_key: int = 64
    window_s: float = 30.0
    show_after_s: float = 0.0
    _names: Iterable[int] = field(default_factory=itertools.count)

    def engine(self, **more: object) -> Engine:
        """Make its engine."""
        limits = JoinLimits(
            int(self.window_s * 1e9),
            10_000,
            self.most_per_key,
            show_after_ns=int(self.show_after_s * 1e9),
            max_unpacked=0,
        )
        self.joiner = Joiner(limits)
        return Engine(
            bus=self.bus,
            parse=ParseStage(self.reader, self.reader, Redactor(b"only for these tests")),
            joiner=self.joiner,
            store=self.store,
            clock=self.clock,
            **{"event_time": True, "limits": EngineLimits(batch_rows=1000, batch_age_s=0.001), **more},
        )

    async def give(self, *records: Record, after_s: float = 0.0) -> None:
        """Put records on the bus, in one delivery each."""
        for record in records:
            body = b"%d" % next(iter(self._names))
            self.reader.records[body] = record
            source = Source.HAPROXY if isinstance(record, EdgeRecord) else Source.KONG
            await self.bus.append(Delivery(source, [body], T0_NS + int(after_s * 1e9), "192.0.2.7"))

    async def read_empty(self, **more: object) -> Engine:
        """Run until the bus is empty and every window has ended."""
        engine = self.engine(**more)
        engine.drain(flush=True)
        await asyncio.wait_for(engine.run(), 60)
        return engine

    @staticmethod
    def draft() -> Draft:
        """Give an empty batch."""
        return Draft(T0_NS)

    def left(self) -> Counter[tuple[OutcomeKind, str]]:
        """Count how records left."""
        account = self.bus.account()
        assert not any(account.pending.values()), account
        counts = Counter[tuple[OutcomeKind, str]]()
        for outcome, count in account.outcomes.items():
            counts[outcome.kind, outcome.reason] += count
        return counts


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def new_process() -> Callable[..., Process]:
    return Process


@pytest.fixture
def edge() -> Callable[..., EdgeRecord]:
    """Make an edge record that expects one gateway record."""

    def make(request_id: str, **fields: object) -> EdgeRecord:
        start_us = T0_NS // 1000
        usual: dict[str, object] = {
            "rec_id": identity_hash(request_id, str(fields.get("node"))),
            "offset": -1,
            "start_us": start_us,
            "request_start_us": start_us,
            "timers": Timers(0, 0, 1, 5, 0, 8, 0, 0),
            "status": 200,
            "termination": "----",
            "server": "kong1",
            "method": "GET",
            "path": "/open/0",
        }
        return EdgeRecord(request_id=request_id, **(usual | fields))

    return make


@pytest.fixture
def attempt() -> Callable[..., GatewayRecord]:
    """Make a gateway record of a request."""

    def make(gateway_id: str, *request_ids: str, **fields: object) -> GatewayRecord:
        start_us = T0_NS // 1000
        usual: dict[str, object] = {
            "attempt_id": identity_hash(gateway_id),
            "offset": -1,
            "started_us": start_us + 1000,
            "request_start_us": start_us,
            "gateway_request_id": gateway_id,
            "status": 200,
            "method": "GET",
            "path": "/open/0",
            "request_ms": 5.0,
        }
        return GatewayRecord(request_ids=request_ids, **(usual | fields))

    return make


@pytest.fixture
def schema_applied() -> Callable[[str], None]:
    """Make a server's database with our schema."""

    def apply(dsn: str) -> None:
        connection = connect(parse_dsn(dsn), create=True)
        schema.apply(connection, embedded=False)
        connection.close()

    return apply


@pytest.fixture
def rows_of() -> Callable[[str], list[Lineage]]:
    """Read every live row of a server's store, absorbed orphans too."""

    def read(dsn: str) -> list[Lineage]:
        connection = connect(parse_dsn(dsn))
        lines = connection.client.raw_query(f"SELECT {select_list()} FROM {TABLE} FINAL", fmt=FORMAT)
        connection.close()
        return decode_lineages(lines)

    return read
