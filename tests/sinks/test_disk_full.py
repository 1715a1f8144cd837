"""An embedded store, and a whole process, on a disk that takes no more, and takes again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import Batch, LookupKey
from pipeline.errors import StoreUnavailable
from pipeline.model import Lineage
from pipeline.sinks.clickhouse import open_sink

Make = Callable[..., Lineage]
T0_S = 1_795_460_243
SIZE = "256m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of its own, of 256 mebibytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "hoptrail-test", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take all that is left."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (2**20, 4096):
            try:
                while file.write(b"z" * size) == size:
                    pass
            except OSError:
                pass
    return filler


async def test_a_full_disk_is_no_fault_of_the_rows_and_what_was_acknowledged_stands_once(
    small_disk: Path, lineage: Make
) -> None:
    dsn = f"chdb://{small_disk}/store"
    rows = [lineage(number) for number in range(4000)]
    async with open_sink(dsn) as sink:
        assert not await sink.write(Batch(rows[:1000], (), ()))
        filler = fill(small_disk)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await sink.write(Batch(rows[1000:3000], (), ()))
        filler.unlink()
        assert not await sink.write(Batch(rows[1000:3000], (), ()))
    async with open_sink(dsn) as sink:
        found = await sink.find_stored([LookupKey(T0_S, (row.request_id,), ()) for row in rows])
    assert sorted(row.rec_id for row in found) == sorted(row.rec_id for row in rows[:3000])
    assert len({row.rec_id for row in found}) == 3000


SERVED = """
import asyncio, json, sys
from pathlib import Path
import httpx
from pipeline.config import Config
from pipeline.topology import running

disk, entries = Path(sys.argv[1]), sys.argv[2]

async def main():
    config = Config.model_validate({
        "data_dir": disk / "data", "store": {"batch_age_s": 0.2}, "join": {"window_s": 0.5},
        "sources": {"syslog": {"udp": "", "tcp": "", "unix": ""}, "kong": {"listen": "127.0.0.1:0"}},
        "door": {"listen": ""},
    })
    async with running(config, lambda: None) as addresses, httpx.AsyncClient(trust_env=False) as client:
        url = addresses["ingest_url"]
        async def post(number):
            body = entries.replace("NUMBER", f"{number:032x}")
            answer = await client.post(url + "/ingest/kong", content=body, headers={"content-type": "application/json"})
            return answer.status_code
        async def status():
            return (await client.get(url + "/status", timeout=30)).json()
        async def until(is_so):
            async with asyncio.timeout(120):
                while not is_so(await status()):
                    await asyncio.sleep(0.05)
        taken = 0
        for _ in range(50):
            assert await post(taken) == 200
            taken += 1
        await until(lambda s: s["sources"]["kong"]["stored"] == 50)
        print("fill", flush=True)
        sys.stdin.readline()
        refused = 0
        while refused < 3:
            if await post(taken) == 200:
                taken += 1
            else:
                refused += 1
        print("free", flush=True)
        sys.stdin.readline()
        async with asyncio.timeout(60):
            while await post(taken) != 200:
                await asyncio.sleep(0.05)
        taken += 1
        await until(lambda s: s["sources"]["kong"]["stored"] == taken)
        rows = (await status())["sources"]["kong"]
        print(json.dumps({"taken": taken, **{k: rows[k] for k in ("received", "stored", "dropped", "dead_letter")}}), flush=True)

asyncio.run(main())
"""


def test_a_process_whose_disk_is_full_says_503_and_stores_all_it_took_when_there_is_room(
    small_disk: Path,
) -> None:
    """Journal and store share the disk. Each entry is some kilobytes, and so soon more than what is left."""
    entry: dict[str, Any] = {
        "request": {"id": "NUMBER", "method": "GET", "uri": "/" + "x" * 30_000, "headers": {}},
        "response": {"status": 200, "headers": {}},
        "latencies": {"kong": 1, "proxy": 1, "request": 2},
        "started_at": T0_S * 1000,
    }
    with subprocess.Popen(
        [sys.executable, "-c", SERVED, small_disk, json.dumps(entry)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "fill\n"
        filler = fill(small_disk)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "free\n"
        filler.unlink()
        process.stdin.write("\n")
        process.stdin.flush()
        said = json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(60) == 0
    assert said["stored"] == said["received"] == said["taken"] > 50
    assert said["dropped"] == said["dead_letter"] == 0
