"""What Kafka costs: ingest and join per record against the journal's, and 1, 2 and 4 join processes on one topic pair.

Ends with the figures that `deploy/CAPACITY.md` begins with.

A broker of the tests (Apache Kafka on one JVM) is started; it takes its share of the machine, so wall-clock figures
are of all together. Processor time is a process's own, all threads, less that of the same process with nothing to
do. Each join writes an embedded store of its own: what a shared server costs is in `bench_insert.py`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from pipeline.bus.journal import open_journal
from pipeline.bus.kafka.ingest import IngestBus
from pipeline.bus.kafka.keys import Keyer
from pipeline.bus.kafka.producing import open_producer
from pipeline.bus.kafka.standing import read_standing
from pipeline.bus.kafka.topics import apply
from pipeline.config import Config, load_config
from pipeline.contracts import Inlet
from pipeline.model import Delivery, Source
from pipeline.parsers import make_parsers

REQUESTS = int(os.environ.get("REQUESTS", "30000"))
PARTITIONS = 8
BATCH = 100
LOOKED_UP_S = 120.0
"""Requests that began so long before they come may be stored by somebody else, and are looked up."""
HERE = Path(__file__).parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("HOPTRAIL_")}


def load(name: str, path: Path) -> ModuleType:
    """Load a module by its path."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"no module {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Measure and print."""
    jvm = load("kafka_jvm", HERE.parent / "tests" / "kafka" / "broker" / "jvm.py")
    if why := jvm.missing():
        print(f"left out: {why}")
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        deliveries = records(directory)
        count = 2 * REQUESTS
        print(
            f"{REQUESTS} requests, {count} records, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )
        figures = {"journal_us": asyncio.run(journal(directory, deliveries)) / count * 1e6}
        print(f"journal, append in posts of {BATCH}: {figures['journal_us']:.1f} us CPU a record")
        cluster = jvm.start_cluster(directory, jvm.fetch(directory))
        try:
            config = configured(directory, cluster.servers)
            figures |= scaled(directory, config)
            figures["compressed_share"] = compressed_share(directory, deliveries)
        finally:
            cluster.stop()
        print("figures for deploy/CAPACITY.md:")
        for figure, value in figures.items():
            print(f"| `{figure}` | {value:.2g} |" if value < 10 else f"| `{figure}` | {value:.0f} |")  # noqa: PLR2004 -- two digits


def scaled(directory: Path, config: Config) -> dict[str, float]:
    """Measure 1, 2 and 4 join processes, and one that looks every record up; gives the figures."""
    count = 2 * REQUESTS
    figures: dict[str, float] = {}
    idle = join(directory, config, 1, feed=False)[1][0]
    first = 0.0
    for processes in (1, 2, 4):
        wall, cpus, fed = join(directory, config, processes)
        first = first or wall
        cost_us = sum(used - idle for used in cpus) / count * 1e6
        print(
            f"{processes} join: {count / wall:.0f} records/s ({first / wall:.2f} x), {cost_us:.1f} us CPU a record in "
            f"all; ingest beside it, keyed and packed: {fed / count * 1e6:.1f} us"
        )
        figures |= {f"joins_{processes}_records_s": count / wall, f"joins_{processes}_us": cost_us}
        figures["ingest_us"] = max(figures.get("ingest_us", 0.0), fed / count * 1e6)
    wall, cpus, _ = join(directory, config, 1, early_s=LOOKED_UP_S)
    figures["join_us"] = figures["joins_1_us"]
    figures["join_lookup_us"] = (cpus[0] - idle) / count * 1e6
    print(
        f"1 join, each record looked up: {figures['join_lookup_us']:.1f} us CPU a record, {count / wall:.0f} records/s"
    )
    return figures


def compressed_share(directory: Path, deliveries: Sequence[Delivery]) -> float:
    """Tell what the broker's logs of the last topics take of what was given to them."""
    given = sum(len(body) for each in deliveries for body in each.bodies)
    newest: dict[str, int] = {}
    for file in (directory / "node-1").glob("[eg].*/*.log"):
        name = file.parent.name.split(".")[1].partition("-")[0]
        newest[name] = newest.get(name, 0) + file.stat().st_size
    return max(newest.values()) / given


def records(directory: Path, early_s: float = 0.0) -> list[Delivery]:
    """Make records that begin now, or so much earlier, in deliveries of a hundred of each source in turn."""
    replay = load("bench_replay", HERE / "bench_replay.py")
    replay.START_US = time.time_ns() // 1000 - int(early_s * 1e6)
    replay.write_logs(directory, REQUESTS)
    edge, kong = ((directory / name).read_bytes().splitlines() for name in ("edge", "kong"))
    return [
        Delivery(source, bodies[at : at + BATCH], 0, "192.0.2.1")
        for at in range(0, REQUESTS, BATCH)
        for source, bodies in ((Source.HAPROXY, edge), (Source.KONG, kong))
    ]


def configured(directory: Path, servers: str) -> Config:
    """Give a configuration."""
    key = directory / "key"
    key.write_bytes(b"a key for a benchmark of sixteen or more")
    settings = {
        "bus.dsn": f"kafka://{servers}", "bus.kafka.partitions": PARTITIONS, "bus.kafka.replication": 1,
        "bus.kafka.min_insync": 1, "redaction.key_file": str(key), "data_dir": str(directory / "none"),
        "bus.kafka.status_listen": "127.0.0.1:0", "bus.kafka.session_timeout_s": 30,
    }  # fmt: skip
    return load_config(None, settings, environ={})


def cpu_s() -> float:
    """Give the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def append_all(bus: Inlet, deliveries: Sequence[Delivery]) -> None:
    """Append from eight givers, as eight workers of a gateway do."""

    def stamped() -> Iterator[Delivery]:
        for each in deliveries:
            yield Delivery(each.source, each.bodies, time.time_ns(), each.peer)

    left = stamped()

    async def give() -> None:
        for each in left:
            await bus.append(each)

    async with asyncio.TaskGroup() as givers:
        for _ in range(8):
            givers.create_task(give())


async def journal(directory: Path, deliveries: Sequence[Delivery]) -> float:
    """Give the processor time of appending all to a journal."""
    async with open_journal(directory / "journal", 2**31) as bus:
        began = cpu_s()
        await append_all(bus, deliveries)
        return cpu_s() - began


async def ingest(config: Config, deliveries: Sequence[Delivery]) -> float:
    """Give the processor time of putting all on Kafka."""

    def keyer() -> Keyer:
        parsers = make_parsers(config)
        return Keyer(parsers.haproxy, parsers.redactor)

    async with (
        open_producer(config.bus) as producer,
        IngestBus(producer, config.bus.kafka, keyer, 10.0) as bus,
    ):
        began = cpu_s()
        await append_all(bus, deliveries)
        return cpu_s() - began


def join(
    directory: Path, config: Config, processes: int, *, feed: bool = True, early_s: float = 0.0
) -> tuple[float, list[float], float]:
    """Let so many processes join what is put on topics of their own meanwhile.

    Returns:
        Wall time from the first record given to the last stored, each process's CPU, and that of giving.
    """
    name = uuid.uuid4().hex[:8]
    tree = json.loads(config.model_dump_json())
    tree["bus"]["kafka"] |= {"group": name, "edge_topic": f"e.{name}", "gateway_topic": f"g.{name}"}
    started = []
    for number in range(processes):
        tree["data_dir"] = str(directory / f"{name}-{number}")
        file = directory / f"{name}-{number}.yaml"
        file.write_text(json.dumps(tree), encoding="utf-8")
        config = load_config(file, environ={})
        asyncio.run(apply(config.bus))
        log = (directory / f"{name}.log").open("ab")
        words = [sys.executable, "-m", "pipeline", "join", "--config", str(file)]
        started.append((config.data_dir, subprocess.Popen(words, stdout=log, stderr=log, env=ENVIRONMENT)))
    while any(_partitions(data_dir) != PARTITIONS // processes for data_dir, _ in started):
        time.sleep(0.2)
    time.sleep(
        6
    )  # requests that began before partitions were given out are looked up; that is not the steady state
    deliveries = records(directory, early_s) if feed else []
    began, fed = time.monotonic(), 0.0
    if feed:
        fed = asyncio.run(ingest(config, deliveries))
        while _stored(config) < 2 * REQUESTS:
            time.sleep(0.1)
    wall, cpus = time.monotonic() - began, []
    for _, process in started:
        process.send_signal(signal.SIGTERM)
        _, _, used = os.wait4(process.pid, 0)
        cpus.append(used.ru_utime + used.ru_stime)
    return wall, cpus, fed


def _partitions(data_dir: Path) -> int:
    """How many partitions a process has; none where it does not answer yet."""
    try:
        address = json.loads((data_dir / "server.json").read_text(encoding="utf-8"))["ingest_url"]
        with urllib.request.urlopen(f"{address}/status", timeout=5) as answer:  # noqa: S310 -- our own process
            return len(json.load(answer)["bus"]["partitions"])
    except (OSError, ValueError):
        return 0


def _stored(config: Config) -> int:
    return sum(asyncio.run(read_standing(config.bus)).account.outcomes.values())


if __name__ == "__main__":
    main()
