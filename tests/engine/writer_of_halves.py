"""Writes one half of 300 requests into a store that another process writes the other half into.

Run as `python writer_of_halves.py DSN edges|attempts`: says `ready`, waits for a line, writes in batches of 20,
and says how many of its records were stored.
"""

import asyncio
import sys

from pipeline.bus.memory import MemoryBus
from pipeline.clock import SystemClock
from pipeline.engine import Progress
from pipeline.engine.draft import Draft
from pipeline.engine.writing import WriteStage
from pipeline.formats.text import identity_hash
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.model import Delivery, EdgeRecord, GatewayRecord, OutcomeKind, Source, Timers
from pipeline.sinks.clickhouse import open_sink

T0_US = 1_795_460_243_000_000
REQUESTS, AT_ONCE = 300, 20


def _half(kind: str, number: int, offset: int) -> EdgeRecord | GatewayRecord:
    request_id = f"edge-made-id-{number:04}"
    if kind == "edges":
        return EdgeRecord(
            rec_id=identity_hash(request_id), offset=offset, request_id=request_id, start_us=T0_US,
            request_start_us=T0_US, timers=Timers(0, 0, 0, 6, 0, 6, 0, 0), status=200, termination="----",
            server="kong1", method="GET", path="/",
        )  # fmt: skip
    gateway_id = f"{number:032x}"
    return GatewayRecord(
        attempt_id=identity_hash(gateway_id), offset=offset, request_ids=(request_id,), started_us=T0_US + 1000,
        request_start_us=T0_US, gateway_request_id=gateway_id, status=200, method="GET", path="/",
    )  # fmt: skip


async def main(dsn: str, kind: str) -> None:
    async with open_sink(dsn) as store:
        bus = MemoryBus()
        stage = WriteStage(bus=bus, store=store, clock=SystemClock(), progress=Progress())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        for first in range(0, REQUESTS, AT_ONCE):
            joiner = Joiner(JoinLimits(30 * 10**9, 1000, 64))
            for number in range(first, first + AT_ONCE):
                source, offset = Source.HAPROXY if kind == "edges" else Source.KONG, bus.end
                await bus.append(Delivery(source, [b""], 0, ""))
                joiner.add(_half(kind, number, offset), T0_US * 1000)
            await stage.write(Draft(0, groups=joiner.flush()))
        outcomes = bus.account().outcomes
        stored = sum(n for one, n in outcomes.items() if one.kind is OutcomeKind.STORED)
        sys.stdout.write(f"{stored} stored\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
