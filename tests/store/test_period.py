"""A report's way through a period, on the real engine in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import asyncio, json, random, sys
from pipeline.contracts import Batch
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord
from pipeline.sinks.clickhouse import open_sink
from pipeline.store import period
from pipeline.store.conditions import Wanted
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn

T0, HOUR = 1_795_460_400_000_000, 3_600_000_000
chance = random.Random(4)
starts = [T0 + chance.randrange(30 * HOUR) for _ in range(400)] + [T0 + 7 * HOUR + n for n in range(300)]

def lineage(number, start_us):
    edge = EdgeRecord(rec_id=number + 1, offset=number, request_id=f"r{number}", start_us=start_us,
                      request_start_us=start_us, termination="PR--", status=403)
    return resolve([edge], [])[0]

async def main(dsn, at_once):
    period._AT_ONCE = at_once
    async with open_sink(dsn) as sink:
        await sink.write(Batch([lineage(*one) for one in enumerate(starts)], (), ()))
    connection = connect(parse_dsn(dsn))
    wanted = Wanted(since_us=T0 + HOUR + 5, until_us=T0 + 29 * HOUR)
    slices = list(period.lineages_of(connection.client, wanted))
    connection.close()
    found = [one.edge.start_us for lineages in slices for one in lineages]
    expected = sorted(one for one in starts if wanted.since_us <= one < wanted.until_us)
    print(json.dumps([found == expected, max(map(len, slices)), len(slices)]))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize("at_once", [1, 20, 2000])
def test_every_row_comes_once_in_order_whatever_the_slices(tmp_path: Path, at_once: int) -> None:
    words = [sys.executable, "-c", _PROGRAM, f"chdb://{tmp_path}/store", str(at_once)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    is_same, largest, slices = json.loads(done.stdout)
    assert is_same
    assert slices > 1 or at_once == 2000
    assert largest <= max(at_once, 300)
