"""CPU of a whole replay, files to embedded store, per request, and against two plain ways on the same input.

The plain ways are those of `plain_ways.py`, which says what they leave out: a flat table of 61 columns of its
own, and every column of our table. All run in processes of their own, in turn; a figure is a process's CPU, the
store's threads included, less that of the same process on one request.

What our own parts cost is measured by itself, in one process, on records that are in memory: it leaves out the
reading of files, the bus and the loops between the parts, so that it sums to less than the whole.

Absolute figures are those of a machine and of an interpreter: one that was built without its own optimizations (as
version managers build it unless told) costs a tenth more than Debian's.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config import load_config
from pipeline.contracts import Batch, Packed
from pipeline.engine.draft import Draft
from pipeline.interpreter import tune
from pipeline.join.group import Group
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.join.settle import settle
from pipeline.model import Delivery, EdgeRecord, GatewayRecord, Lineage, Source
from pipeline.parsers import make_parsers
from pipeline.sinks.clickhouse import open_sink

REQUESTS = int(os.environ.get("REQUESTS", "60000"))
ROUNDS = 3
_BATCH_ROWS = 30_000
START_US = 1_795_460_243_000_000
_FILES = {Source.HAPROXY: "edge", Source.KONG: "kong"}

EDGE = (
    '<134>1 2026-11-23T18:57:23.524+00:00 edge-1 haproxy 7 - - {{"v":"hap-req/1","id":"{id}","tp":"00-{trace}-{span}-01",'
    '"pid":7,"rt":{n},"lc":{n},"node":"edge-1","acc":"{sec}.{ms:03}","req_us":"{us}","end_us":"{end}","Th":0,"Ti":0,'
    '"TR":0,"Tw":0,"Tc":1,"Tr":{tr},"Td":1,"Ta":"{ta}","ci":"203.0.113.{ip}","cp":"{cp}","fi":"10.0.0.1","fp":"443",'
    '"fe":"edge","be":"kong_blue","srv":"blue1","si":"10.0.0.2","sp":"8000","bi":"10.0.0.1","bp":"{cp}",'
    '"pool":"kong_blue","roll":"41","m":"GET","host":"api.example.com","path":"/orders/{n}","q":"page=2","hv":"2",'
    '"ua":"shop-ios/4.2","U":"310","c_rid":"-","c_tp":"-","tls":"TLSv1.3","cph":"TLS_AES_256_GCM_SHA384",'
    '"sni":"api.example.com","alpn":"h2","cc":"0","cv":"0","dn":"-","st":200,"B":"778","ts":"----","rc":"0","sq":0,'
    '"bq":0,"ac":8,"fc":6,"bc":5,"sc":5,"ferr":"0","kong_rid":"{kong}","kong_pl":"2","kong_ul":"3","end":1}}\n'
)
PLAIN = Path(__file__).with_name("plain_ways.py")
WAYS = {"replay": "hoptrail replay", "flat": "plain, 61 columns", "ours": "plain, our columns"}


def main() -> None:
    """Print what each costs, and the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        full, empty = root / "full", root / "empty"
        for files, count in ((full, REQUESTS), (empty, 1)):
            files.mkdir()
            write_logs(files, count)
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(ROUNDS):
            for way, costs in found.items():
                base = _cpu(way, empty, root / f"{way}-empty-{number}")
                costs.append((_cpu(way, full, root / f"{way}-full-{number}") - base) / REQUESTS * 1e6)
        parts = asyncio.run(_parts(full, root / "parts"))
    us = {way: statistics.median(costs) for way, costs in found.items()}
    print(f"{REQUESTS} requests, {ROUNDS} rounds in turn, Python {platform.python_version()}")
    print("microseconds of CPU a request, median")
    for way, name in WAYS.items():
        ratio = "" if way == "replay" else f" = {us[way] / us['replay']:.2f} times ours"
        print(f"  {name:20} {us[way]:6.1f}{ratio}")
    print(f"  {1e6 / us['replay']:,.0f} requests per CPU second")
    print("our parts: " + ", ".join(f"{name} {cost:.1f}" for name, cost in parts.items()))


def _cpu(way: str, files: Path, store: Path) -> float:
    edge, kong = files / "edge", files / "kong"
    words = (
        ["-m", "pipeline", "replay", "--haproxy", edge, "--kong", kong, "--store", f"chdb://{store}"]
        if way == "replay"
        else [PLAIN, way, edge, kong, store]
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def _parts(files: Path, store: Path) -> dict[str, float]:
    """Do by hand what the engine does, and take the time of each part, microseconds of CPU a request."""
    tune(answers=False)
    config = load_config(None, {"store.dsn": f"chdb://{store}"})
    stage, joiner = make_parsers(config).stage(), Joiner(JoinLimits(30 * 10**9, 10**6, 64))
    spent: defaultdict[str, float] = defaultdict(float)
    arrival_ns = START_US * 1000

    async def timed(name: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401 -- whatever the part gives
        began = time.process_time()
        result = act()
        result = await result if isinstance(result, Awaitable) else result
        spent[name] += time.process_time() - began
        return result

    lines = {source: (files / name).read_bytes().splitlines() for source, name in _FILES.items()}
    async with open_sink(config.store_dsn) as sink:
        packed: list[Packed] = []
        for at in range(0, REQUESTS, 500):
            for source in Source:
                delivery = Delivery(source, lines[source][at : at + 500], arrival_ns, "", offset=1 + 2 * at)
                records: list[Any] = []
                add = partial(_kept, records)
                await timed(f"parse {source}", partial(stage.parse, delivery, add, Draft(0)))
                await timed("join", partial(_add, joiner, records, arrival_ns))
            groups = await timed("join", partial(joiner.due, arrival_ns))
            rows = await timed("settle", partial(_settled, groups))
            packed.append(await timed("pack", partial(sink.pack, rows)))
            if at + 500 >= REQUESTS or sum(map(len, packed)) >= _BATCH_ROWS:
                await timed("store", partial(sink.write, Batch((), (), (), packed=packed)))
                packed = []
    return {name: cost / REQUESTS * 1e6 for name, cost in spent.items()}


def _add(joiner: Joiner, records: list[Any], arrival_ns: int) -> None:
    for record in records:
        joiner.add(record, arrival_ns)


def _settled(groups: list[Group]) -> list[Lineage]:
    return [settle(group, ()).lineages[0] for group in groups]


def _kept(records: list[Any], record: EdgeRecord | GatewayRecord, _arrival_ns: int) -> None:
    records.append(record)


def write_logs(files: Path, count: int) -> None:
    """Write both logs: the recommended line, and entries of 2.5 kB in the shape that Kong 3.9 sends."""
    captured = Path(__file__).parents[1] / "tests" / "captures" / "kong" / "corpus" / "kong.jsonl"
    with captured.open(encoding="utf-8") as lines:
        entry = next(
            found
            for line in lines
            if "consumer" in (found := json.loads(json.loads(line)["body"])) and found["tries"]
        )
    with (files / "edge").open("w") as edge, (files / "kong").open("w") as kong:
        for n in range(count):
            request_id, us = (
                str(uuid.UUID(int=(n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)),
                START_US + n * 200,
            )
            gateway_id = f"{n * 0x9E3779B9 % 2**64:032x}"
            trace, span = request_id.replace("-", ""), gateway_id[-16:]
            edge.write(
                EDGE.format(
                    id=request_id, trace=trace, span=span, n=n, sec=us // 10**6, ms=us // 1000 % 1000, us=us,
                    end=us + 9000, tr=5 + n % 40, ta=7 + n % 40, ip=n % 250, cp=20_000 + n % 40_000, kong=gateway_id,
                )
            )  # fmt: skip
            entry["request"]["id"], entry["started_at"] = gateway_id, us // 1000 + 1
            entry["request"]["headers"] |= {"x-request-id": request_id, "x-request-start": f"t={us}"}
            entry["request"]["headers"]["traceparent"] = f"00-{trace}-{span}-01"
            entry["request"]["uri"] = f"/orders/{n}?page=2"
            kong.write(json.dumps(entry, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
