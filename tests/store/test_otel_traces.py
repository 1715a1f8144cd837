"""The view of spans says what the exported spans say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.model import EdgeRecord, Lineage, Timers
from pipeline.spans import Framer, Spans, SpanSettings
from pipeline.spans.settings import origin_of
from pipeline.store.connection import Connection
from pipeline.store.rows import encode_lineages
from pipeline.store.statements import insert_statement, structure

SETTINGS = SpanSettings(gateway_spans="always", context="continue")
_KINDS = {2: "Server", 3: "Client"}
_ONLY_EXPORTED = {"server.address", "server.port", "tls.protocol.name", "tls.protocol.version", "tls.cipher"}
"""Attributes that the view leaves out of some spans: what a Host header and a TLS version are made of."""

Told = tuple[str, str, str, str, str, str, int, int, str, str, str, str]


def exported(rows: Iterable[Lineage]) -> list[tuple[Told, dict[str, str]]]:
    """Give what a receiver reads of all spans of rows, as the view has it."""
    spans, framer = Spans(SETTINGS), Framer()
    for row in rows:
        framer.add(spans.of(row))
    found = []
    for frame in framer.take():
        for group in ExportTraceServiceRequest.FromString(frame.body).resource_spans:
            about = {a.key: a.value.string_value for a in group.resource.attributes}
            for span in group.scope_spans[0].spans:
                told = (
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.name,
                    _KINDS[span.kind],
                    about["service.name"],
                    span.start_time_unix_nano,
                    span.end_time_unix_nano - span.start_time_unix_nano,
                    "Error" if span.status.code == 2 else "Unset",
                    json.dumps(about, sort_keys=True),
                    str([(event.name, event.time_unix_nano) for event in span.events]),
                    str([(link.trace_id.hex(), link.span_id.hex()) for link in span.links]),
                )
                found.append((told, {a.key: as_text(a.value) for a in span.attributes}))
    return found


def as_text(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return json.dumps([one.string_value for one in value.array_value.values], separators=(",", ":"))
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    return str(getattr(value, kind))


def viewed(connection: Connection) -> list[tuple[Told, dict[str, str]]]:
    """Give the same from the view."""
    query = (
        "SELECT TraceId, SpanId, ParentSpanId, toString(SpanName), toString(SpanKind), toString(ServiceName), "
        "toUnixTimestamp64Nano(Timestamp), Duration, toString(StatusCode), ResourceAttributes, "
        "`Events.Name`, arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`), `Links.TraceId`, "
        "`Links.SpanId`, SpanAttributes FROM otel_traces"
    )
    found = []
    for row in connection.client.query(query).result_rows:
        resource, names, times, traces, spans, attributes = row[9:]
        told = (
            *row[:9],
            json.dumps(dict(resource), sort_keys=True),
            str(list(zip(names, times, strict=True))),
            str(list(zip(traces, spans, strict=True))),
        )
        found.append((told, dict(attributes)))
    return found


def marked(row: Lineage) -> Lineage:
    """Give a row as it is written: with the caller's span that it hangs under."""
    return replace(row, spans=replace(row.spans, parent_id=origin_of(row, SETTINGS).parent_id))


def odd(row: Lineage, number: int) -> list[Lineage]:
    """Give what the corpus has none of, made of one of its lineages."""
    edge = row.edge
    assert edge is not None
    trace = f"{number:032x}"

    def with_edge(name: str, **fields: Any) -> Lineage:
        other = replace(edge, request_id=f"{name}-{number}", rec_id=number + 1, **fields)
        return replace(row, request_id=other.request_id, rec_id=other.rec_id, edge=other, trace_id=None)

    ours, theirs = f"00-{trace}-b7ad6b7169203331-01", f"00-{trace}-00f067aa0ba902b7-01"
    return [
        with_edge("continued", traceparent=ours, claimed_traceparent=theirs),
        with_edge("another", traceparent=ours, claimed_traceparent="00-" + "1" * 32 + "-00f067aa0ba902b7-01"),
        with_edge("passed-on", traceparent=theirs, claimed_traceparent=theirs),
        with_edge("broken", traceparent="ff" + ours[2:], claimed_traceparent="nonsense"),
        with_edge("queued", timers=Timers(TR=1, Tw=7, Tc=2, Tr=3, Td=4, Ta=17), redispatched=True, retries=1),
        with_edge("cut-off", status=200, termination="CD--", method="BREW"),
        with_edge("nothing", status=None, termination="CR--", method=None),
        with_edge("-", gateway_request_id="b49d0708a1b2c3d4e5f60718293a4b5c"),
    ]


@pytest.fixture(scope="module")
def rows(connection: Connection, corpus: list[Lineage], captured: list[Lineage]) -> list[Lineage]:
    unique = {(row.bucket_s, row.request_id, row.rec_id): row for row in [*captured, *corpus]}
    strange = [one for number, row in enumerate(corpus[:5]) for one in odd(row, number + 5)]
    traced = [
        replace(row, trace_id=row.edge.traceparent[3:35])
        for row in strange
        if isinstance(row.edge, EdgeRecord) and (row.edge.traceparent or "").startswith("00-")
    ]
    unique |= {(row.bucket_s, row.request_id, row.rec_id): row for row in [*strange, *traced]}
    found = [marked(row) for row in unique.values()]
    connection.client.command("TRUNCATE TABLE lineage_rows")
    connection.insert(insert_statement, structure(), [encode_lineages(found)])
    return found


def test_ids_parents_names_times_and_statuses_are_those_that_are_sent(
    connection: Connection, rows: list[Lineage]
) -> None:
    sent, seen = Counter(told for told, _ in exported(rows)), Counter(told for told, _ in viewed(connection))
    assert sum(sent.values()) > 6000
    assert not seen - sent
    assert not sent - seen


def test_attributes_are_those_that_are_sent(connection: Connection, rows: list[Lineage]) -> None:
    def shown(attributes: dict[str, str]) -> str:
        kept = {name: value for name, value in attributes.items() if name not in _ONLY_EXPORTED and value}
        return json.dumps(kept, sort_keys=True)

    sent = Counter((told[1], shown(attributes)) for told, attributes in exported(rows))
    seen = Counter((told[1], shown(attributes)) for told, attributes in viewed(connection))
    assert not seen - sent
    assert not sent - seen


def test_a_trace_is_found_through_the_index(connection: Connection, rows: list[Lineage]) -> None:
    assert rows
    ((trace_id,),) = connection.client.query("SELECT any(TraceId) FROM otel_traces").result_rows
    plan = connection.client.query(
        "EXPLAIN indexes = 1 SELECT * FROM otel_traces WHERE TraceId = {id:String}",
        parameters={"id": trace_id},
    ).result_rows
    assert sum("ix_span_trace_id" in line for (line,) in plan) == 4


def test_when_a_trace_was_holds_all_its_spans(connection: Connection, rows: list[Lineage]) -> None:
    assert rows
    outside = connection.client.command(
        "SELECT countIf(Timestamp < Start OR Timestamp > End) FROM otel_traces "
        "JOIN otel_traces_trace_id_ts USING TraceId WHERE SpanKind = 'Server' AND ServiceName = 'haproxy'"
    )
    assert outside == 0


def test_the_ids_of_a_row_are_the_ids_of_its_spans(connection: Connection, rows: list[Lineage]) -> None:
    roots = connection.client.query(
        "SELECT edge_span_id, span_trace_id FROM lineage WHERE has_edge"
    ).result_rows
    spans = {(told[1], told[0]) for told, _ in viewed(connection)}
    assert len(rows) > len(roots) > 1000
    assert set(map(tuple, roots)) <= spans
