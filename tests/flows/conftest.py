"""Raw lines in, lineages out, in one process: the real rooms between a bus and a store in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pipeline.bus.memory import MemoryBus
from pipeline.clock import ManualClock
from pipeline.engine import Engine, EngineLimits
from pipeline.engine.draft import ParseStage
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.redact import Redactor
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.model import Delivery, Lineage, Outcome, OutcomeKind, Source
from pipeline.sinks.memory import MemoryStore

T0_NS = 1_795_460_243_000_000_000
WINDOW_S = 30
_REDACTOR = Redactor(b"only for these tests")


@dataclass
class River:
    """One process: what it is given arrives at once, and time moves when it is told to."""

    bus: MemoryBus = field(default_factory=MemoryBus)
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: ManualClock = field(default_factory=lambda: ManualClock(T0_NS))

    def engine(self) -> Engine:
        """Make the engine of one life of the process."""
        haproxy = HaproxyParser(redactor=_REDACTOR)
        return Engine(
            bus=self.bus,
            parse=ParseStage(haproxy, KongParser(redactor=_REDACTOR), _REDACTOR),
            joiner=Joiner(JoinLimits(WINDOW_S * 10**9, 10_000, 64)),
            store=self.store,
            clock=self.clock,
            limits=EngineLimits(batch_rows=1000, batch_age_s=0.001),
            event_time=True,
        )

    def flow(self, *deliveries: tuple[Source, bytes, float]) -> None:
        """Take lines and posts, each with the second after the start at which it comes, and store all."""
        asyncio.run(self._flow(deliveries))

    async def _flow(self, deliveries: tuple[tuple[Source, bytes, float], ...]) -> None:
        engine = self.engine()
        for source, body, after_s in deliveries:
            bodies = [body] if source is Source.HAPROXY else split_body(body)
            await self.bus.append(Delivery(source, bodies, T0_NS + int(after_s * 1e9), "192.0.2.7"))
        engine.drain(flush=True)
        await asyncio.wait_for(engine.run(), 30)

    def lineage(self) -> Lineage:
        """Give the one lineage that is stored."""
        (row,) = self.store.lineages
        return row

    def counted(self, kind: OutcomeKind) -> int:
        """How many records left so."""
        return sum(count for outcome, count in self.bus.account().outcomes.items() if outcome.kind is kind)

    def dropped(self, outcome: Outcome) -> int:
        """How many records left by one outcome."""
        return self.bus.account().outcomes.get(outcome, 0)


@pytest.fixture
def river() -> River:
    return River()


@pytest.fixture
def edge_line() -> Callable[..., bytes]:
    """Write the recommended line; what a test does not name is an ordinary 200."""

    def write(request_id: str = "47c60cd1-c353-4d74-97a9-702ea38ece29", **fields: object) -> bytes:
        start_us = T0_NS // 1000
        line = {
            "v": "hap-req/1", "id": request_id, "tp": "", "node": "edge-1", "pid": 7, "rt": 1, "lc": 1,
            "acc": f"{start_us // 1_000_000}.000", "req_us": str(start_us), "end_us": str(start_us + 6000),
            "ci": "203.0.113.9", "cp": "40001", "fe": "edge", "be": "kong_blue", "srv": "blue1",
            "Th": 0, "Ti": 0, "TR": 0, "Tw": 0, "Tc": 0, "Tr": 6, "Td": 0, "Ta": "6", "st": 200, "ts": "----",
            "rc": "0", "B": "778", "U": "120", "m": "GET", "host": "api.example.com", "path": "/open/0",
            "q": "", "hv": "1", "ua": "test", "kong_rid": "-", "end": 1,
        } | fields  # fmt: skip
        header = "<134>1 2026-11-23T18:57:23.000000+00:00 edge-1 haproxy 7 - - "
        return (header + json.dumps(line, separators=(",", ":"))).encode()

    return write


@pytest.fixture
def kong_entry() -> Callable[..., dict[str, object]]:
    """Make an entry; `request_id` is what Kong found in the header, a string or a list."""

    def make(
        gateway_id: str = "b49d07081953ff3de3c0ed45db180067",
        request_id: object = "47c60cd1-c353-4d74-97a9-702ea38ece29",
        status: int = 200,
        after_ms: int = 1,
        **fields: object,
    ) -> dict[str, object]:
        started_ms = T0_NS // 1_000_000 + after_ms
        headers = {"host": "api.example.com", "x-request-start": f"t={T0_NS // 1000}"}
        return {
            "request": {
                "id": gateway_id,
                "method": "GET",
                "uri": "/open/0",
                "url": "http://api.example.com:8000/open/0",
                "headers": headers | ({"x-request-id": request_id} if request_id else {}),
            },
            "response": {"status": status, "size": 778, "headers": {}},
            "latencies": {"kong": 2, "proxy": 3, "receive": 1, "request": 6},
            "started_at": started_ms,
            "client_ip": "203.0.113.9",
            "source": "upstream",
            "service": {"name": "main"},
            "tries": [{"ip": "10.0.0.1", "port": 8080, "balancer_start": started_ms, "balancer_latency": 0}],
        } | fields

    return make
