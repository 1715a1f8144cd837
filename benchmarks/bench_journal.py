"""What the journal costs: appends with their syncs, reading, committing, encryption.

Every load is run against the journal and, in turn, against a naive log that writes and syncs each delivery by
itself (`write` + `fsync`, no checksum, no books), so that the ratios hold on any disk. Processor time counts
all threads. Paced load: deliveries come every 4 ms, as 50,000 datagrams a second do when a receiver hands on
what it has drained.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from pipeline.bus.journal import Journal, open_journal
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

CAP = 2**30
KEY = bytes(range(32))
ROUNDS = 3
STORED = {source: Outcome(source, OutcomeKind.STORED) for source in Source}


class Load(NamedTuple):
    """What is appended: `at_once` deliveries at a time, of `records` of `size` bytes."""

    name: str
    source: Source
    records: int
    size: int
    at_once: int
    times: int

    @property
    def total(self) -> int:
        """Records in all."""
        return self.records * self.at_once * self.times

    def delivery(self) -> Delivery:
        """Make one, of random bytes."""
        bodies = [os.urandom(self.size) for _ in range(self.records)]
        return Delivery(self.source, bodies, time.time_ns(), "127.0.0.1")


LOADS = (
    Load("datagrams, 200 x 700 B, one at a time", Source.HAPROXY, 200, 700, 1, 300),
    Load("datagrams, 200 x 700 B, 8 at once", Source.HAPROXY, 200, 700, 8, 60),
    Load("POSTs, 100 x 2.5 kB, one at a time", Source.KONG, 100, 2500, 1, 200),
    Load("POSTs, 1 x 2.5 kB, 16 at once", Source.KONG, 1, 2500, 16, 100),
)


class Cost(NamedTuple):
    """Microseconds a record."""

    wall: float
    cpu: float


class Naive:
    """One write and one fsync per append; what a first version would do."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / "naive.log").open("ab", buffering=0)

    async def append(self, delivery: Delivery) -> None:
        """Write a delivery and sync it."""
        await asyncio.to_thread(self._write, delivery)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, delivery: Delivery) -> None:
        self._file.write(b"\n".join(delivery.bodies))
        os.fsync(self._file.fileno())


async def timed(load: Load, append: Callable[[Delivery], Awaitable[None]]) -> Cost:
    """Append a load, a batch after another."""
    delivery = load.delivery()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(load.times):
        if load.at_once == 1:
            await append(delivery)
        else:
            await asyncio.gather(*(append(delivery) for _ in range(load.at_once)))
    scale = 1e6 / load.total
    return Cost((time.perf_counter() - wall) * scale, (time.process_time() - cpu) * scale)


async def commit_all(journal: Journal, source: Source) -> None:
    """Give the space back."""
    await journal.commit(journal.end, {STORED[source]: journal.end - journal.committed})


async def compare(load: Load) -> None:
    """Print journal, encrypted journal and naive log on one load, in turns."""
    costs: dict[str, list[Cost]] = {"plain": [], "sealed": [], "naive": []}
    syncs = 0
    for _ in range(ROUNDS):
        for kind, key in (("plain", None), ("sealed", KEY)):
            with TemporaryDirectory() as directory:
                async with open_journal(Path(directory), CAP, key) as journal:
                    costs[kind].append(await timed(load, journal.append))
                    syncs = journal.syncs
        with TemporaryDirectory() as directory:
            naive = Naive(Path(directory))
            costs["naive"].append(await timed(load, naive.append))
            naive.close()
    wall, cpu = (
        {kind: statistics.median(getattr(cost, what) for cost in found) for kind, found in costs.items()}
        for what in ("wall", "cpu")
    )
    appends = load.at_once * load.times
    print(f"{load.name}")
    print(
        f"  journal {wall['plain']:8.2f} us/record, {load.size / wall['plain']:6.0f} MB/s, "
        f"cpu {cpu['plain']:6.2f} us/record, {appends / syncs:4.1f} appends a sync"
    )
    print(
        f"  naive   {wall['naive']:8.2f} us/record, {load.size / wall['naive']:6.0f} MB/s, "
        f"cpu {cpu['naive']:6.2f} us/record: "
        f"{wall['naive'] / wall['plain']:.1f} times the time, {cpu['naive'] / cpu['plain']:.1f} times the cpu"
    )
    print(
        f"  encryption: {wall['sealed'] / wall['plain']:.2f} times the time, "
        f"{cpu['sealed'] / cpu['plain']:.2f} times the cpu of the plain journal"
    )


async def paced() -> None:
    """Print what 50,000 datagrams a second cost, and whether one was dropped."""
    load = Load("", Source.HAPROXY, 200, 700, 1, 1000)
    delivery = load.delivery()
    with TemporaryDirectory() as directory:
        async with open_journal(Path(directory), CAP) as journal:
            begun, cpu = time.perf_counter(), time.process_time()
            for number in range(load.times):
                await asyncio.sleep(max(0.0, begun + number * 0.004 - time.perf_counter()))
                journal.append_nowait(delivery)
                if number % 100 == 0:
                    await commit_all(journal, load.source)
            while journal.account().pending[load.source] + committed(journal) < load.total:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
            dropped = journal.account().outcomes.get(Outcome(load.source, OutcomeKind.DROPPED, "bus_full"), 0)
    print("50,000 datagrams a second for 4 s, 700 B, in deliveries of 200, commits behind")
    print(
        f"  {load.total / wall:,.0f} records/s, cpu {cpu / load.total * 1e6:.2f} us/record "
        f"({cpu / wall:.0%} of a core), dropped {dropped}"
    )


def committed(journal: Journal) -> int:
    """Count what has left, drops included."""
    return sum(journal.account().outcomes.values())


async def reading() -> None:
    """Print what it costs to hand records to the engine, and to commit them: from memory, then from disk."""
    load = LOADS[1]._replace(times=40)
    with TemporaryDirectory() as directory:
        async with open_journal(Path(directory), CAP) as journal:
            for _ in range(load.times):
                await asyncio.gather(*(journal.append(load.delivery()) for _ in range(load.at_once)))
            await read_all(journal, load.source, "memory and, beyond 64 MiB, disk")
        begun = time.perf_counter()
        async with open_journal(Path(directory), CAP) as journal:
            print(
                f"opening with {load.total:,} records pending: {(time.perf_counter() - begun) * 1e3:.0f} ms"
            )
            await read_all(journal, load.source, "disk", commit=True)


async def read_all(journal: Journal, source: Source, name: str, *, commit: bool = False) -> None:
    """Read a thousand at a time, and commit every tenth time where asked."""
    costs, commits, records = [], [], 0
    while True:
        start = time.process_time()
        got = await journal.read(1000, 0.0)
        if not got:
            break
        count = sum(len(delivery.bodies) for delivery in got)
        costs.append((time.process_time() - start) / count * 1e6)
        records += count
        if commit and len(costs) % 10 == 0:
            start = time.perf_counter()
            offset = got[-1].offset + len(got[-1].bodies)
            await journal.commit(offset, {STORED[source]: offset - journal.committed})
            commits.append((time.perf_counter() - start) * 1e3)
    print(
        f"reading {records:,} records from {name}: {min(costs):.3f} to {max(costs):.3f} us/record, "
        f"{statistics.mean(costs):.3f} on average"
    )
    if commits:
        print(
            f"commit of 10,000: {statistics.median(commits):.2f} ms at the median, {max(commits):.1f} at most"
        )


@contextmanager
def busy_parser() -> Iterator[None]:
    """Keep a thread at work that never waits, as a parser does."""
    ended = threading.Event()

    def work() -> None:
        total = 0
        while not ended.is_set():
            for number in range(1000):
                total += number * number

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def beside_a_parser() -> None:
    """Print how long an append of 100 entries takes while another thread computes, by switch interval."""
    delivery = LOADS[2].delivery()
    usual = sys.getswitchinterval()
    with TemporaryDirectory() as directory:
        async with open_journal(Path(directory), CAP) as journal:
            for interval in (None, usual, 0.001, 0.0005):
                if interval is None:
                    times = await latencies(journal, delivery)
                else:
                    sys.setswitchinterval(interval)
                    with busy_parser():
                        times = await latencies(journal, delivery)
                name = (
                    "idle" if interval is None else f"beside a busy thread, switching {interval * 1e3:g} ms"
                )
                print(
                    f"append of one POST, {name}: {statistics.median(times):.2f} ms at the median, "
                    f"{times[int(len(times) * 0.95)]:.2f} at the 95th percentile"
                )
    sys.setswitchinterval(usual)


async def latencies(journal: Journal, delivery: Delivery) -> list[float]:
    """Give the milliseconds of 100 appends, sorted."""
    times = []
    for _ in range(100):
        await asyncio.sleep(0.002)
        start = time.perf_counter()
        await journal.append(delivery)
        times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)


async def main() -> None:
    """Print everything."""
    print(f"{os.cpu_count()} cores, {ROUNDS} interleaved rounds, medians")
    for load in LOADS:
        await compare(load)
    await paced()
    await reading()
    await beside_a_parser()


if __name__ == "__main__":
    asyncio.run(main())
