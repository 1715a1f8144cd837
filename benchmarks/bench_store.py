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
from pipeline.store.statements import IDS, TABLE

ROWS = int(os.environ.get("ROWS", "1000000"))
RATE, ROUNDS, PART = 5_000, 15, 500_000
DAY_S, T0_S = 86_400, 1_795_460_400 - 86_400
"""The 24 hours before those that `bench_insert.lineages` are in."""

_EDGE = (
    "offset Int64, start_us Int64, gateway_request_id String, traceparent String, request_start_us Int64, "
    "end_us Int64, node String, pid UInt32, log_counter Nullable(Int64), frontend String, backend String, "
    "server String, client_ip String, client_port UInt16, timers Tuple(TR Nullable(Int64), Tw Nullable(Int64), "
    "Tc Nullable(Int64), Tr Nullable(Int64), Td Nullable(Int64), Ta Nullable(Int64)), status UInt16, "
    "termination String, request_bytes Nullable(Int64), response_bytes Nullable(Int64), method String, scheme String, "
    "host String, path String, http_version String, user_agent String"
)
_ATTEMPT = (
    "attempt_id UInt64, offset Int64, request_ids Array(String), started_us Int64, gateway_request_id String, "
    "correlation_id String, trace_id String, traceparent String, request_start_us Int64, node String, "
    "`latencies.kong` Nullable(Float64), `latencies.proxy` Nullable(Float64), `latencies.receive` Nullable(Float64), "
    "`latencies.request` Nullable(Float64), status UInt16, source String, method String, scheme String, host String, "
    "path String, user_agent String, upstream_uri String, upstream_status Array(String), "
    "request_bytes Nullable(Int64), response_bytes Nullable(Int64), client_ip String, service String, "
    "service_id String, route String, route_id String, workspace String, consumer_id String, consumer_name String, "
    "credential_id String, tries Array(Tuple(ip String, port UInt16, code UInt16, started_us Int64, "
    "balancer_ms Nullable(Float64)))"
)
GENERATED = f"""
INSERT INTO {TABLE} (
    bucket, request_id, rec_id, rev, outcome, match, final, delivered, trace_id, trace_id_source,
    `identity.kind`, `identity.consumer_id`, `identity.consumer_name`, `identity.proof`,
    `verdict.domain`, `verdict.code`, `verdict.text`, has_edge, edge, attempts
)
WITH
    sipHash64(number) AS h, sipHash64(number, 1) AS g, lower(hex(sipHash128(number, 2))) AS trace,
    lower(hex(sipHash128(number, 3))) AS gid, toString(toUUID(reinterpretAsUUID(sipHash128(number, 4)))) AS rid,
    {T0_S} * 1000000 + intDiv(number * {DAY_S} * 1000000, {ROWS}) AS us,
    h % 300 AS who, g % 60 AS way, 5 + bitShiftRight(h, 8) % 40 * if(h % 97 = 0, 50, 1) AS ms,
    multiIf(h % 200 = 0, 503, h % 50 = 0, 404, 200) AS code, concat('/orders/', toString(h % 100000), '/items') AS path,
    concat('10.', toString(h % 4), '.', toString(h % 251), '.', toString(g % 251)) AS ip,
    concat('00-', trace, '-', substring(gid, 17), '-01') AS tp, concat('agent/', toString(h % 200)) AS agent,
    concat('consumer-', toString(who)) AS consumer, concat('name-', toString(who)) AS name
SELECT
    toDateTime(intDiv(us, 1000000), 'UTC'), rid, g, 5, 'complete', 'proven', true, 0, trace, 'edge',
    'consumer', consumer, name, 'kong.consumer',
    if(code = 503, 'upstream', 'ok'), if(code = 503, 'upstream_error', 'answered'), if(code = 503, 'It failed.', 'Answered.'),
    true,
    CAST((
        number * 2, us, gid, tp, us, us + ms * 1000 + 2000, 'edge-1', 77, number, 'public', 'kong', 'kong1', ip,
        1024 + h % 60000, (0, 0, 1, ms, 1, ms + 2), code, '----', 300, h % 9000, 'GET', 'https', 'api.example.com', path,
        '2', agent
    ), 'Tuple({_EDGE})'),
    CAST([(
        g, number * 2 + 1, [rid], us + 1000, gid, rid, trace, tp, us, '10.9.0.2', 2, ms - 3, 1, ms, code, 'upstream',
        'GET', 'http', 'api.example.com', path, agent, path, [toString(code)], 300, h % 9000, ip,
        concat('service-', toString(way % 20)), '8027b672-cb4d-5059-bc59-7d67b683008e', concat('route-', toString(way)),
        '367bdb48-b987-54a4-b618-b350391e1597', 'default', consumer, name, concat('credential-', toString(who)),
        [('10.8.0.7', 8080, code, us + 3000, 0.015)]
    )], 'Array(Tuple({_ATTEMPT}))')
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


def _rows(connection: Connection) -> int:
    return int(connection.client.query(f"SELECT count() FROM {TABLE}").result_rows[0][0])  # noqa: S608 -- our name


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
        for table in (TABLE, IDS):
            ((size, parts),) = connection.client.query(
                "SELECT sum(bytes_on_disk) / {rows:UInt64}, count() FROM system.parts "
                "WHERE active AND table = {table:String}",
                {"rows": _rows(connection), "table": table},
            ).result_rows
            print(f"  {size:.0f} bytes on disk a lineage in {table}, {parts} parts")
        connection.close()
        loop.run_until_complete(opened.__aexit__(None, None, None))
    loop.close()


if __name__ == "__main__":
    main()
