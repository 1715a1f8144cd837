"""Rows for the tests of the sink; as a program it writes batches of 500 until it is killed."""

import asyncio
import sys

from pipeline.contracts import Batch
from pipeline.formats.text import identity_hash
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Timers
from pipeline.sinks.clickhouse import open_sink

T0_S = 1_795_460_243
"""23 November 2026, 18:57:23 UTC."""


def lineage(number: int, *, start_s: int = T0_S, **fields: object) -> Lineage:
    """Make a complete lineage; the same number gives the same one."""
    request_id, start_us = f"request-{number}", start_s * 1_000_000
    edge = EdgeRecord(
        rec_id=identity_hash(request_id),
        offset=2 * number,
        request_id=request_id,
        start_us=start_us,
        request_start_us=start_us,
        timers=Timers(Ta=8),
        **fields,
    )
    attempt = GatewayRecord(
        attempt_id=identity_hash("attempt", request_id),
        offset=2 * number + 1,
        request_ids=(request_id,),
        started_us=start_us,
        node="192.0.2.1",
    )
    (made,) = resolve([edge], [attempt])
    return made


async def write_until_killed(directory: str) -> None:
    """Write, and print how many rows were acknowledged."""
    async with open_sink(f"chdb://{directory}") as sink:
        written = 0
        while True:
            await sink.write(Batch([lineage(number) for number in range(written, written + 500)], (), ()))
            written += 500
            sys.stdout.write(f"{written}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write_until_killed(sys.argv[1]))
