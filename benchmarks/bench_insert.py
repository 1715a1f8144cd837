"""What a lineage costs on its way into the store: our path against a plain row insert of the same columns.

Both put the same lineages into the same table of an embedded store, in turn, so that the ratio holds on a busy
machine. Processor time is that of the whole process, ClickHouse's threads included: encoding, insert with
fsync, indexes, and the merges that run meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.contracts import Batch, LookupKey
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Timers, Try
from pipeline.sinks.clickhouse import ClickHouseSink, open_sink
from pipeline.store.columns import ATTEMPT, EDGE, IN_KEY, ROW, TRY, Column
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.rows import encode_lineages
from pipeline.store.statements import STORED_EDGE, TABLE, table_columns

ROWS, ROUNDS = 20_000, 5
T0_US = 1_795_460_243_000_000
_NAMES = list(table_columns())


def lineages(seed: int) -> list[Lineage]:
    """Make complete lineages as our edge configuration gives them, one in thirty with a retried attempt."""
    chance = random.Random(seed)  # noqa: S311 -- the same rows in every run
    return [_lineage(chance, T0_US + seed * 20_000_000 + number * 1000, number) for number in range(ROWS)]


def _lineage(chance: random.Random, start_us: int, number: int) -> Lineage:
    request_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    client = f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(256)}"
    path, agent = f"/orders/{chance.randrange(100_000)}/items", f"agent/{chance.randrange(200)}"
    trace = f"00-{chance.getrandbits(128):032x}-{chance.getrandbits(64):016x}-01"
    attempts = [
        GatewayRecord(
            attempt_id=chance.getrandbits(64) | 1,
            offset=2 * number + 1,
            request_ids=(request_id,),
            started_us=start_us + 1000 + 40_000 * one,
            gateway_request_id=f"{chance.getrandbits(128):032x}",
            correlation_id=request_id,
            traceparent=trace,
            request_start_us=start_us,
            node="10.9.0.2",
            kong_ms=2,
            proxy_ms=chance.randrange(40),
            receive_ms=1,
            request_ms=43,
            status=200,
            source="upstream",
            method="GET",
            scheme="http",
            host="api.example.com",
            path=path,
            user_agent=agent,
            upstream_uri=path,
            upstream_status=("200",),
            request_bytes=300,
            response_bytes=chance.randrange(5000),
            client_ip=client,
            service=f"service-{chance.randrange(20)}",
            service_id="8027b672-cb4d-5059-bc59-7d67b683008e",
            route=f"route-{chance.randrange(60)}",
            route_id="367bdb48-b987-54a4-b618-b350391e1597",
            workspace="default",
            consumer_id=f"consumer-{chance.randrange(300)}",
            consumer_name=f"name-{chance.randrange(300)}",
            credential_id=f"credential-{chance.randrange(300)}",
            tries=(Try("10.8.0.7", 8080, None, 200, start_us + 3000, 0.015),),
        )
        for one in range(2 if number % 30 == 0 else 1)
    ]
    edge = EdgeRecord(
        rec_id=chance.getrandbits(64) | 1,
        offset=2 * number,
        request_id=request_id,
        start_us=start_us,
        gateway_request_id=attempts[-1].gateway_request_id,
        traceparent=trace,
        request_start_us=start_us,
        node="edge-1",
        pid=77,
        log_counter=number,
        frontend="public",
        backend="kong",
        server="kong1",
        client_ip=client,
        client_port=chance.randrange(1024, 65_536),
        timers=Timers(0, 0, 1, 43, 1, 45, 0, 0),
        status=200,
        termination="----",
        request_bytes=300,
        response_bytes=900,
        method="GET",
        scheme="https",
        host="api.example.com",
        path=path,
        http_version="2",
        user_agent=agent,
        tls_version="TLSv1.3",
        tls_cipher="TLS_AES_128_GCM_SHA256",
    )
    return resolve([edge], attempts)[0]


def naive_row(row: Lineage) -> list[Any]:
    """Give a lineage as a list of Python values in the order of the table's columns."""
    values = [_value(row, column) for column in ROW]
    timers = [column for column in EDGE if column.field.startswith("timers.")]
    edge = [
        _value(row.edge, column) for column in EDGE if column not in timers and column.field not in IN_KEY
    ]
    edge.insert(STORED_EDGE.index(timers[0]), tuple(_value(row.edge, column) for column in timers))
    return [*values, row.edge is not None, tuple(edge), [_attempt(one) for one in row.attempts]]


def _attempt(attempt: GatewayRecord) -> tuple[Any, ...]:
    tries = [tuple(_value(one, column) for column in TRY) for one in attempt.tries]
    return tuple(tries if column.field == "tries" else _value(attempt, column) for column in ATTEMPT)


def _value(record: Any, column: Column) -> Any:  # noqa: ANN401 -- any record, any value
    for name in column.field.split("."):
        record = getattr(record, name)
    if column.field == "bucket_s":
        return datetime.fromtimestamp(record, UTC)
    if record is None and "Nullable" not in column.kind.stored:
        return "" if "String" in column.kind.stored else 0
    if column.kind.stored.startswith("Map"):
        return dict(record)
    return list(record) if isinstance(record, tuple) else record


def insert_naively(connection: Connection, rows: Sequence[Lineage]) -> None:
    """Insert as the client's documentation shows first: rows, types asked of the server."""
    connection.client.insert(TABLE, [naive_row(row) for row in rows], column_names=_NAMES)


def measured(act: Callable[[], object]) -> tuple[float, float]:
    """Give microseconds of processor and of wall time per row."""
    cpu, wall = time.process_time(), time.perf_counter()
    act()
    return (time.process_time() - cpu) / ROWS * 1e6, (time.perf_counter() - wall) / ROWS * 1e6


def rounds(
    sink: ClickHouseSink, connection: Connection, loop: asyncio.AbstractEventLoop
) -> Iterator[dict[str, tuple[float, float]]]:
    """Measure both in turn."""
    for seed in range(ROUNDS):
        rows = lineages(seed)
        yield {
            "encode alone": measured(lambda rows=rows: encode_lineages(rows)),
            "ours, whole": measured(
                lambda rows=rows: loop.run_until_complete(sink.write(Batch(rows, (), ())))
            ),
            "row insert": measured(lambda rows=rows: insert_naively(connection, rows)),
        }


def small_batches(sink: ClickHouseSink, loop: asyncio.AbstractEventLoop) -> None:
    """Print what a batch costs that holds next to nothing: most of it is ClickHouse reading the statement."""
    rows = lineages(0)[:100]
    spent = []
    for _ in range(20):
        cpu = time.process_time()
        loop.run_until_complete(sink.write(Batch(rows, (), ())))
        spent.append(time.process_time() - cpu)
    print(f"  a batch of {len(rows)}: {statistics.median(spent) * 1e3:.0f} ms of CPU")


def look_ups(sink: ClickHouseSink, loop: asyncio.AbstractEventLoop) -> None:
    """Print what finding stored rows costs."""
    rows = lineages(0)
    for count in (1, 100, ROWS):
        keys = [LookupKey(row.bucket_s, (row.request_id,), ()) for row in rows[:count]]
        wall = time.perf_counter()
        found = loop.run_until_complete(sink.find_stored(keys))
        print(
            f"  look-up of {count:6} keys: {(time.perf_counter() - wall) * 1e3:8.1f} ms, {len(found)} found"
        )


def main() -> None:
    """Print the figures."""
    loop = asyncio.new_event_loop()
    with TemporaryDirectory() as directory:
        dsn = f"chdb://{Path(directory).resolve()}/store"
        opened = open_sink(dsn)
        sink = loop.run_until_complete(opened.__aenter__())
        connection = connect(parse_dsn(dsn))
        found = list(rounds(sink, connection, loop))
        print(
            f"{ROUNDS} rounds of {ROWS} lineages, {len(_NAMES)} columns, chDB; microseconds a lineage, median"
        )
        for name in found[0]:
            cpu, wall = (statistics.median(one[name][place] for one in found) for place in (0, 1))
            print(f"  {name:13} {cpu:6.1f} CPU, {wall:6.1f} wall")
        ratios = [one["row insert"][0] / one["ours, whole"][0] for one in found]
        print(f"  ratio of CPU  {statistics.median(ratios):6.1f} x  ({min(ratios):.1f} to {max(ratios):.1f})")
        small_batches(sink, loop)
        look_ups(sink, loop)
        connection.client.command(f"OPTIMIZE TABLE {TABLE} FINAL")
        size = connection.client.command(
            "SELECT round(sum(bytes_on_disk) / sum(rows)) FROM system.parts "  # noqa: S608 -- our name
            f"WHERE active AND table = '{TABLE}'"
        )
        print(f"  {size} bytes on disk a lineage, merged")
        connection.close()
        loop.run_until_complete(opened.__aexit__(None, None, None))
    loop.close()


if __name__ == "__main__":
    main()
