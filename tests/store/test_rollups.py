"""Minutes say what their lineages say, however often and in whatever order they are counted."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.join.resolve import resolve
from pipeline.model import Lineage
from pipeline.store import schema
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.rollups import OTHER_HOSTS, count_minutes, mark, marked, minutes_since, stretches
from pipeline.store.rows import encode_lineages
from pipeline.store.statements import insert_statement, structure

KEY = "minute, service, route, host, outcome, missing, status_class"
SUMS = "requests, errors, attempts, tries, request_bytes, response_bytes"
DIRECT = f"""
    SELECT toStartOfMinute(start_time) AS minute, service, route, host, outcome, missing, intDiv(status, 100) AS status_class,
        count() AS requests,
        countIf(status >= 500 OR `verdict.domain` IN ('edge', 'gateway', 'upstream', 'network')) AS errors,
        sum(length(`attempts.attempt_id`)) AS attempts, sum(length(`tries.attempt`)) AS tries,
        sum(ifNull(request_bytes, 0)) AS request_bytes, sum(ifNull(response_bytes, 0)) AS response_bytes
    FROM lineage GROUP BY {KEY}
"""


@pytest.fixture
def store(face_address: str) -> Iterator[Connection]:
    """Open a database of the test's own, with our schema."""
    opened = connect(parse_dsn(f"clickhouse://{face_address}/m_{uuid.uuid4().hex}", {}), create=True)
    schema.apply(opened, embedded=False)
    yield opened
    opened.close()


def put(store: Connection, rows: Sequence[Lineage]) -> None:
    store.insert(insert_statement, structure(), [encode_lineages(rows)])


def counted(store: Connection) -> list[tuple[Any, ...]]:
    return list(store.client.query(f"SELECT {KEY}, {SUMS} FROM lineage_minutes ORDER BY {KEY}").result_rows)


def direct(store: Connection) -> list[tuple[Any, ...]]:
    return list(store.client.query(f"SELECT {KEY}, {SUMS} FROM ({DIRECT}) ORDER BY {KEY}").result_rows)


def test_minutes_sum_to_what_is_counted_directly(store: Connection, corpus: list[Lineage]) -> None:
    put(store, corpus)
    count_minutes(store, minutes_since(store, None))
    assert counted(store) == direct(store)
    assert sum(row[7] for row in counted(store)) == len(corpus)


def test_counting_again_changes_nothing(store: Connection, corpus: list[Lineage]) -> None:
    put(store, corpus)
    for _ in range(3):
        count_minutes(store, minutes_since(store, None))
    assert counted(store) == direct(store)


def test_late_halves_and_what_they_absorb_are_counted_once(store: Connection, corpus: list[Lineage]) -> None:
    """First each half alone, counted; then whole, the orphans buried, counted again: no key of before remains."""
    whole = corpus[:300]
    edges = [row for one in whole for row in resolve([one.edge], [])]
    orphans = [row for one in whole for attempt in one.attempts for row in resolve([], [attempt])]
    put(store, [*edges, *orphans])
    count_minutes(store, minutes_since(store, None))
    assert {row[4] for row in counted(store)} == {"edge_only", "gateway_only"}
    put(store, [replace(row, rev=99) for row in whole])
    put(store, [replace(row, rev=99, is_deleted=True) for row in orphans])
    count_minutes(store, minutes_since(store, None))
    assert counted(store) == direct(store)
    assert {row[4] for row in counted(store)} == {"complete"}
    assert sum(row[7] for row in counted(store)) == len(whole)


def test_quantiles_of_several_rows_unite(store: Connection, corpus: list[Lineage]) -> None:
    put(store, corpus)
    count_minutes(store, minutes_since(store, None))
    ((united,),) = store.client.query(
        "SELECT quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(duration) FROM lineage_minute_states"
    ).result_rows
    ((exact,),) = store.client.query(
        "SELECT quantilesExact(0.5, 0.9, 0.95, 0.99)(duration_ms) FROM lineage"
    ).result_rows
    assert united == pytest.approx(exact, rel=0.1, abs=1)


def test_a_hop_that_was_never_reached_has_no_time(store: Connection, corpus: list[Lineage]) -> None:
    put(store, [row for one in corpus[:50] for row in resolve([one.edge], [])])
    count_minutes(store, minutes_since(store, None))
    rows = store.client.query(
        "SELECT DISTINCT `edge_ms.p50`, `gateway_ms.p99`, `upstream_ms.p99`, `duration_ms.p50` IS NULL FROM lineage_minutes"
    ).result_rows
    assert rows == [(None, None, None, 0)]


def test_host_headers_that_a_client_makes_up_are_counted_together(
    store: Connection, corpus: list[Lineage]
) -> None:
    rows = [
        replace(row, edge=replace(row.edge, host="real" if number < 100 else f"made-up-{number}"))
        for number, row in enumerate(corpus[:1000])
        if row.edge
    ]
    put(store, rows)
    count_minutes(store, minutes_since(store, None))
    hosts = dict(
        store.client.query("SELECT host, sum(requests) FROM lineage_minutes GROUP BY host").result_rows
    )
    assert len(hosts) <= 201
    assert hosts["real"] == 100
    assert hosts[OTHER_HOSTS] == 1000 - 100 - 199
    assert sum(hosts.values()) == 1000


def test_marks_are_by_writer_and_older_removals_do_not_count(store: Connection) -> None:
    mark(store, [(10, 1), (10, 2), (11, 1)], 100)
    assert marked(store) == {10: {1, 2}, 11: {1}}
    mark(store, [(10, 1), (11, 1)], 99, is_deleted=True)
    assert marked(store) == {10: {1, 2}, 11: {1}}
    mark(store, [(10, 1), (11, 1)], 101, is_deleted=True)
    assert marked(store) == {10: {2}}
    mark(store, [(11, 1)], 102)
    assert marked(store) == {10: {2}, 11: {1}}


def test_a_statement_counts_few_minutes_and_near_ones() -> None:
    minutes = [*range(300), 10_000, 10_100, 20_000]
    parts = list(stretches(minutes))
    assert [minute for part in parts for minute in part] == minutes
    assert [len(part) for part in parts] == [120, 120, 60, 2, 1]
    assert list(stretches([])) == []


def test_only_minutes_since_a_time_are_found(store: Connection, corpus: list[Lineage]) -> None:
    later = [
        replace(row, edge=replace(row.edge, start_us=row.edge.start_us + 90_000_000)) for row in corpus[:9]
    ]
    put(store, [*corpus[20:30], *later])
    first, *others = sorted(minutes_since(store, None))
    assert others
    assert sorted(minutes_since(store, (first + 1) * 60)) == others
