"""Over the real store: our own reading commands, and whoever reads the views, get what they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.store.conditions import StatusRange, Wanted
from pipeline.store.counts import count_lineages
from pipeline.store.find import find
from pipeline.store.search import search

if TYPE_CHECKING:
    from conftest import Door, OpenDoor

VIEWS = (
    *("lineage", "attempts", "tries", "edge_events", "dead_letters"),
    *("otel_traces", "otel_traces_trace_id_ts"),
)
GRAFANA_TRACE = """
WITH '{id}' AS trace_id,
    (SELECT min(Start) FROM "hoptrail"."otel_traces_trace_id_ts" WHERE TraceId = trace_id) AS trace_start,
    (SELECT max(End) + 1 FROM "hoptrail"."otel_traces_trace_id_ts" WHERE TraceId = trace_id) AS trace_end
SELECT "TraceId" AS traceID, "SpanId" AS spanID, "ParentSpanId" AS parentSpanID,
    "ServiceName" AS serviceName, "SpanName" AS operationName, multiply(toUnixTimestamp64Nano("Timestamp"), 0.000001) AS startTime,
    multiply("Duration", 0.000001) AS duration,
    arrayMap(key -> map('key', key, 'value', "SpanAttributes"[key]), mapKeys("SpanAttributes")) AS tags,
    arrayMap(key -> map('key', key, 'value', "ResourceAttributes"[key]), mapKeys("ResourceAttributes")) AS serviceTags,
    if("StatusCode" IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) AS statusCode,
    arrayMap((name, timestamp, attributes) -> tuple(name, toString(toUnixTimestamp64Milli(timestamp)),
        arrayMap(key -> map('key', key, 'value', attributes[key]), mapKeys(attributes))),
        "Events.Name", "Events.Timestamp", "Events.Attributes") AS logs,
    arrayMap((traceID, spanID, attributes) -> tuple(traceID, spanID,
        arrayMap(key -> map('key', key, 'value', attributes[key]), mapKeys(attributes))),
        "Links.TraceId", "Links.SpanId", "Links.Attributes") AS references,
    "SpanKind" AS kind, "StatusMessage" AS statusMessage, "TraceState" AS traceState
FROM "hoptrail"."otel_traces"
WHERE traceID = trace_id AND "Timestamp" >= trace_start AND "Timestamp" <= trace_end
LIMIT 1000
"""
"""What Grafana's ClickHouse data source asks for one trace of the OpenTelemetry layout."""


@pytest.fixture(scope="module")
def stored(open_door: OpenDoor) -> Door:
    return open_door("store_process.py")


@pytest.fixture(scope="module")
def client(stored: Door) -> Iterator[Client]:
    host, _, port = stored.address.rpartition(":")
    client = clickhouse_connect.get_client(host=host, port=int(port), database="hoptrail")
    yield client
    client.close()


def test_a_search_finds_all_and_what_was_wanted(client: Client) -> None:
    assert sum(1 for _ in search(client, Wanted())) == 1500
    failed = list(search(client, Wanted(status=[StatusRange(500, 599)])))
    assert failed
    assert all(500 <= (row.edge.status or 0) <= 599 for row in failed if row.edge)


def test_a_lineage_is_found_by_each_of_its_ids_and_by_a_prefix(client: Client) -> None:
    (row,) = islice(search(client, Wanted()), 1)
    day = 86_400
    assert row.attempts
    for text in (row.request_id, row.attempts[0].gateway_request_id, row.request_id[:20]):
        assert row in find(client, str(text), None, day).lineages
    hostile = "x' OR 1 -- \\"
    assert find(client, hostile, None, day).lineages == []


def test_the_store_tells_its_size(client: Client) -> None:
    assert count_lineages(client, 0, 2**32 - 1).lineages["complete"] == 1500


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_read_and_described(stored: Door, view: str) -> None:
    columns = stored.text(f"DESCRIBE TABLE {view}").splitlines()
    assert (
        stored.text("SELECT * FROM {v:Identifier} LIMIT 5 FORMAT TSVWithNames", param_v=view).count("\t")
        >= len(columns) - 1
    )


def test_a_dashboard_gets_its_series(stored: Door) -> None:
    found = stored.text(
        """SELECT toStartOfInterval(start_time, INTERVAL 60 second) AS time, service, count() AS n,
           quantile(0.99)(duration_ms) AS p99 FROM hoptrail.lineage
           WHERE start_time >= fromUnixTimestamp64Milli(0) AND outcome = 'complete' AND 1=1
           GROUP BY time, service ORDER BY time, service"""
    )
    assert sum(int(line.split("\t")[2]) for line in found.splitlines()) == 1500
    assert stored.text("SELECT count() FROM attempts") == "1544\n"
    assert int(stored.text("SELECT count() FROM tries")) > 0


def test_what_the_store_keeps_cannot_be_changed_through_the_door(stored: Door) -> None:
    for sql in ("TRUNCATE TABLE lineage_versions", "INSERT INTO lineage_versions (request_id) SELECT 'x'"):
        assert stored.ask(sql).status_code == 403
    assert stored.text("SELECT count() FROM lineage") == "1500\n"


def test_grafanas_trace_view_finds_a_trace(client: Client) -> None:
    ((trace_id, spans),) = client.query(
        "SELECT TraceId, count() AS spans FROM otel_traces GROUP BY TraceId ORDER BY spans DESC LIMIT 1"
    ).result_rows
    found = client.query(GRAFANA_TRACE.replace("{id}", trace_id))
    assert len(found.result_rows) == spans > 3
    rows = [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]
    assert {row["traceID"] for row in rows} == {trace_id}
    assert {row["kind"] for row in rows} == {"Server", "Client"}
    assert {"key": "service.name", "value": "haproxy"} in next(
        row["serviceTags"] for row in rows if row["serviceName"] == "haproxy"
    )
