"""What a store of many lineages answers, and how fast, while it is written to.

`ROWS` lineages of 24 hours (a million unless told; the documented size is ten million) are made by the engine
itself; then 5,000 a second are written through our own path while the questions are asked: any id, a consumer's
last 24 hours, the 99th percentile per route and minute of an hour, from lineages and from counted minutes.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_insert import lineages
from clickhouse_connect.driver import Client

from pipeline.contracts import Batch
from pipeline.sinks.clickhouse import ClickHouseSink, open_sink
from pipeline.store import rollups
from pipeline.store.conditions import Wanted
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.find import find
from pipeline.store.search import search
from pipeline.store.statements import TABLE

ROWS = int(os.environ.get("ROWS", "1000000"))
RATE, ROUNDS, PART = 5_000, 15, 500_000
DAY_S, T0_S = 86_400, 1_795_460_400 - 86_400
"""The 24 hours before those that `bench_insert.lineages` are in."""

GENERATED = f"""
INSERT INTO {TABLE} (
    bucket, request_id, rec_id, rev, outcome, match, final, delivered, trace_id, trace_id_source,
    `identity.kind`, `identity.consumer_id`, `identity.consumer_name`, `identity.proof`,
    `verdict.domain`, `verdict.code`, `verdict.text`, has_edge, `edge.offset`, `edge.start_time`,
    `edge.gateway_request_id`, `edge.traceparent`, `edge.request_start_time`, `edge.end_time`, `edge.node`, `edge.pid`,
    `edge.log_counter`, `edge.frontend`, `edge.backend`, `edge.server`, `edge.client_ip`, `edge.client_port`,
    `edge.timers.TR`, `edge.timers.Tw`, `edge.timers.Tc`, `edge.timers.Tr`, `edge.timers.Td`, `edge.timers.Ta`,
    `edge.status`, `edge.termination`, `edge.request_bytes`, `edge.response_bytes`, `edge.method`, `edge.scheme`,
    `edge.host`, `edge.path`, `edge.http_version`, `edge.user_agent`,
    `attempts.attempt_id`, `attempts.offset`, `attempts.request_ids`, `attempts.started_at`,
    `attempts.gateway_request_id`, `attempts.correlation_id`, `attempts.trace_id`, `attempts.traceparent`,
    `attempts.request_start_time`, `attempts.node`, `attempts.latencies.kong`, `attempts.latencies.proxy`,
    `attempts.latencies.receive`, `attempts.latencies.request`, `attempts.status`, `attempts.source`,
    `attempts.method`, `attempts.scheme`, `attempts.host`, `attempts.path`, `attempts.query`,
    `attempts.user_agent`, `attempts.upstream_uri`, `attempts.upstream_status`, `attempts.request_bytes`,
    `attempts.response_bytes`, `attempts.client_ip`, `attempts.service`, `attempts.service_id`,
    `attempts.route`, `attempts.route_id`, `attempts.workspace`, `attempts.consumer_id`,
    `attempts.consumer_name`, `attempts.custom_id`, `attempts.credential_id`, `attempts.anonymous`,
    `attempts.claim_subject`, `attempts.tls.version`, `attempts.tls.cipher`, `attempts.flags`,
    `tries.attempt`, `tries.ip`, `tries.port`, `tries.state`, `tries.code`, `tries.started_at`, `tries.balancer_ms`
)
WITH
    sipHash64(number) AS h, sipHash64(number, 1) AS g, lower(hex(sipHash128(number, 2))) AS trace,
    lower(hex(sipHash128(number, 3))) AS gid, toString(toUUID(reinterpretAsUUID(sipHash128(number, 4)))) AS rid,
    {T0_S} * 1000000 + intDiv(number * {DAY_S} * 1000000, {ROWS}) AS us,
    fromUnixTimestamp64Micro(us, 'UTC') AS at, h % 300 AS who, g % 60 AS way, 5 + bitShiftRight(h, 8) % 40 * if(h % 97 = 0, 50, 1) AS ms,
    multiIf(h % 200 = 0, 503, h % 50 = 0, 404, 200) AS code, concat('/orders/', toString(h % 100000), '/items') AS path,
    concat('10.', toString(h % 4), '.', toString(h % 251), '.', toString(g % 251)) AS ip,
    concat('00-', trace, '-', substring(gid, 17), '-01') AS tp
SELECT
    toDateTime(intDiv(us, 1000000), 'UTC'), rid, g, 5, 'complete', 'proven', true, 0, trace, 'edge',
    'consumer', concat('consumer-', toString(who)), concat('name-', toString(who)), 'kong.consumer',
    if(code = 503, 'upstream', 'ok'), if(code = 503, 'upstream_error', 'answered'), if(code = 503, 'It failed.', 'Answered.'),
    true, number * 2, at, gid, tp, at, fromUnixTimestamp64Micro(us + ms * 1000 + 2000, 'UTC'), 'edge-1', 77,
    number, 'public', 'kong', 'kong1', ip, 1024 + h % 60000, 0, 0, 1, ms, 1, ms + 2, code, '----', 300, h % 9000, 'GET',
    'https', 'api.example.com', path, '2', concat('agent/', toString(h % 200)),
    [g], [number * 2 + 1], [[rid]], [fromUnixTimestamp64Micro(us + 1000, 'UTC')], [gid], [rid], [trace], [tp], [at],
    ['10.9.0.2'], [2], [ms - 3], [1], [ms], [code], ['upstream'], ['GET'], ['http'], ['api.example.com'], [path], [''],
    [concat('agent/', toString(h % 200))], [path], [[toString(code)]], [300], [h % 9000], [ip],
    [concat('service-', toString(way % 20))], ['8027b672-cb4d-5059-bc59-7d67b683008e'], [concat('route-', toString(way))],
    ['367bdb48-b987-54a4-b618-b350391e1597'], ['default'], [concat('consumer-', toString(who))],
    [concat('name-', toString(who))], [''], [concat('credential-', toString(who))], [false], [''], [''], [''], [[]],
    [0], ['10.8.0.7'], [8080], [''], [code], [fromUnixTimestamp64Micro(us + 3000, 'UTC')], [0.015]
FROM numbers({{from:UInt64}}, {{count:UInt64}})
"""  # noqa: S608 -- our names

P99 = (
    "SELECT route, toStartOfMinute(start_time) AS minute, quantile(0.99)(duration_ms) FROM lineage "  # noqa: S608 -- our names
    f"WHERE bucket >= {T0_S + 20 * 3600} AND bucket < {T0_S + 21 * 3600} GROUP BY route, minute"
)
P99_COUNTED = (
    "SELECT route, minute, quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(duration)[4] FROM lineage_minute_states "  # noqa: S608
    f"WHERE minute >= {T0_S + 20 * 3600} AND minute < {T0_S + 21 * 3600} GROUP BY route, minute"
)


def generate(connection: Connection) -> None:
    """Make the rows, in parts of half a million."""
    for start in range(0, ROWS, PART):
        connection.client.command(GENERATED, {"from": start, "count": min(PART, ROWS - start)})


@contextmanager
def written_to(sink: ClickHouseSink) -> Iterator[list[float]]:
    """Write 5,000 lineages each second meanwhile; gives the microseconds a row of each batch."""
    prepared, costs, stop = lineages(0)[:RATE], list[float](), threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(max(0.0, number + 1 - (time.perf_counter() - started))):
            at = time.perf_counter()
            asyncio.run(sink.write(Batch(prepared, (), ())))
            costs.append((time.perf_counter() - at) / RATE * 1e6)
            number += 1

    started = time.perf_counter()
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield costs
    finally:
        stop.set()
        thread.join()


def ask(name: str, act: Callable[[int], int]) -> None:
    """Print the median and the slowest of some rounds, milliseconds."""
    taken = []
    for number in range(ROUNDS):
        at = time.perf_counter()
        found = act(number)
        taken.append((time.perf_counter() - at) * 1e3)
    print(f"  {name:44} {statistics.median(taken):8.1f} ms, at most {max(taken):8.1f}, {found} found")


def questions(client: Client) -> None:
    """Ask what is promised."""
    step = f"cityHash64(request_id) % {max(1, ROWS // 1000)} = 0"
    ids = client.query(
        f"SELECT request_id, `edge.gateway_request_id`, trace_id FROM {TABLE} WHERE {step} LIMIT {ROUNDS}"  # noqa: S608 -- our name
    ).result_rows
    for place, name in enumerate(("request id", "gateway request id", "trace id")):
        ask(
            f"look-up by {name}",
            lambda n, place=place: len(find(client, ids[n][place], None, DAY_S).lineages),
        )
    since_us = (T0_S + 60) * 1_000_000

    def consumer(number: int) -> int:
        wanted = Wanted(since_us=since_us, consumer=(f"name-{number}",))
        return len(list(islice(search(client, wanted, 100), 100)))

    ask("a consumer's last 24 hours, newest 100", consumer)
    ask("p99 per route and minute of an hour", lambda _: len(client.query(P99).result_rows))
    ask("the same from counted minutes", lambda _: len(client.query(P99_COUNTED).result_rows))


def main() -> None:
    """Print the figures."""
    loop = asyncio.new_event_loop()
    with TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as directory:
        dsn = f"chdb://{Path(directory).resolve()}/store"
        opened = open_sink(dsn)
        sink = loop.run_until_complete(opened.__aenter__())
        connection = connect(parse_dsn(dsn))
        at = time.perf_counter()
        generate(connection)
        print(f"{ROWS:,} lineages of 24 hours, made by the engine itself in {time.perf_counter() - at:.0f} s")
        at = time.perf_counter()
        rollups.count_minutes(connection, rollups.minutes_since(connection, None))
        spent = time.perf_counter() - at
        print(f"  minutes counted in {spent:.1f} s, {spent / ROWS * 1e6:.1f} µs a lineage")
        with written_to(sink) as costs:
            questions(connection.client)
        print(f"  {statistics.median(costs):.1f} µs a lineage written meanwhile, {RATE} each second")
        ((size, parts),) = connection.client.query(
            "SELECT sum(bytes_on_disk) / sum(rows), count() FROM system.parts "  # noqa: S608 -- our name
            f"WHERE active AND table = '{TABLE}'"
        ).result_rows
        print(f"  {size:.0f} bytes on disk a lineage, {parts} parts")
        connection.close()
        loop.run_until_complete(opened.__aexit__(None, None, None))
    loop.close()


if __name__ == "__main__":
    main()
