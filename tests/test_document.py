"""The lineage document and its contract, on what was captured and on what nobody would send in good faith."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from pipeline.document import lineage_document, rfc3339_us
from pipeline.formats import flags as record_flags
from pipeline.join import bucket, expect, lineage_flags
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Identity, Lineage, Phase, Timers, Try, Verdict
from pipeline.resources import resource

SCHEMA: dict[str, Any] = json.loads(resource("schemas/lineage.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
EDGE = EdgeRecord(rec_id=1, offset=0, request_id="47c60cd1-c353-4d74-97a9-702ea38ece29", start_us=10**15)
ATTEMPT = GatewayRecord(attempt_id=2, offset=0, request_ids=(EDGE.request_id,), started_us=10**15 + 500)


def faults(document: dict[str, Any]) -> list[str]:
    return [f"{fault.json_path}: {fault.message[:200]}" for fault in VALIDATOR.iter_errors(document)]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def _objects(schema: dict[str, Any], where: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    if "properties" in schema:
        yield where, schema
    for name, inner in {**schema.get("properties", {}), **schema.get("$defs", {})}.items():
        yield from _objects(inner, f"{where}.{name}")
    if "items" in schema:
        yield from _objects(schema["items"], f"{where}[]")


def test_every_object_of_the_schema_is_closed_and_every_field_described() -> None:
    seen = list(_objects(SCHEMA))
    assert len(seen) > 10
    for where, schema in seen:
        assert schema["additionalProperties"] is False, where
        assert schema["required"] == list(schema["properties"]), where
        for name, field in schema["properties"].items():
            assert "$ref" in field or field["description"].endswith((".", "`")), f"{where}.{name}"
            if name.endswith("_ms") or name in Timers.__struct_fields__:
                assert "Milliseconds" in field["description"], f"{where}.{name}"


def test_closed_lists_are_those_of_the_join() -> None:
    properties = SCHEMA["properties"]
    assert set(properties["missing"]["enum"]) == {*expect.MISSING, None}
    known = {
        value
        for module in (record_flags, lineage_flags, bucket)
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }
    assert set(properties["flags"]["items"]["enum"]) == known


def test_what_is_not_known_is_null() -> None:
    """A record with nothing but what the join needs is still a whole document."""
    (lineage,) = resolve([EDGE], [])
    document = lineage_document(lineage)
    assert faults(document) == []
    known = {name for name, value in document.items() if value is not None}
    assert known == {
        *("request_id", "start_time", "end_time", "duration_ms", "outcome", "match", "missing", "final"),
        *("edge", "attempts", "identity", "phases", "verdict", "flags", "spans"),
    }


def test_the_delivered_attempt_speaks_for_the_gateway_where_the_edge_is_silent() -> None:
    edge = msgspec.structs.replace(EDGE, gateway_request_id="b" * 32, status=200, retries=1)
    first = msgspec.structs.replace(ATTEMPT, gateway_request_id="a" * 32, host="first.example", status=503)
    last = msgspec.structs.replace(
        ATTEMPT,
        attempt_id=3,
        gateway_request_id="b" * 32,
        host="last.example",
        status=200,
        started_us=10**15 + 600,
    )
    (lineage,) = resolve([edge], [last, first])
    document = lineage_document(lineage)
    assert document["host"] == "last.example"
    assert [attempt["delivered"] for attempt in document["attempts"]] == [False, True]
    assert [attempt["delivered_by"] for attempt in document["attempts"]] == [None, "gateway_request_id"]


def test_delivery_by_evidence_is_said_to_be_so() -> None:
    edge = msgspec.structs.replace(EDGE, gateway_request_id=None, status=200, retries=1)
    attempts = [
        msgspec.structs.replace(ATTEMPT, attempt_id=number, status=status, started_us=10**15 + number)
        for number, status in ((3, 503), (4, 200))
    ]
    (lineage,) = resolve([edge], attempts)
    document = lineage_document(lineage)
    assert faults(document) == []
    assert [attempt["delivered_by"] for attempt in document["attempts"]] == [None, "evidence"]


def test_no_attempt_is_delivered_where_the_edge_answered_itself() -> None:
    edge = msgspec.structs.replace(EDGE, status=504, termination="sH--")
    (lineage,) = resolve([edge], [msgspec.structs.replace(ATTEMPT, status=499)])
    document = lineage_document(lineage)
    assert [attempt["delivered"] for attempt in document["attempts"]] == [False]
    assert document["status"] == 504


def test_delivery_is_unknown_without_an_edge_record() -> None:
    (lineage,) = resolve([], [ATTEMPT])
    assert [attempt["delivered"] for attempt in lineage_document(lineage)["attempts"]] == [None]


def test_status_is_null_where_the_client_got_nothing_whatever_the_gateway_answered() -> None:
    edge = msgspec.structs.replace(EDGE, termination="CH--", server="k1")
    (lineage,) = resolve([edge], [msgspec.structs.replace(ATTEMPT, status=200)])
    assert lineage_document(lineage)["status"] is None


def test_times_keep_their_microseconds() -> None:
    assert rfc3339_us(1_795_460_243_518_001) == "2026-11-23T18:57:23.518001Z"
    assert rfc3339_us(0) == "1970-01-01T00:00:00.000000Z"
    assert rfc3339_us(None) is None
    assert rfc3339_us(10**30) is None


text = st.text(max_size=12)
moments = st.integers(0, 2**50)
times = st.floats(0, 1e9) | st.none()
edges = st.builds(
    EdgeRecord,
    rec_id=st.integers(1, 2**64 - 1),
    offset=st.just(0),
    request_id=st.just(EDGE.request_id),
    start_us=moments,
    end_us=moments | st.none(),
    status=st.integers(100, 999) | st.none(),
    termination=st.text(min_size=2, max_size=6) | st.sampled_from(["----", "sH--", "PR--"]) | st.none(),
    timers=st.builds(Timers, *[st.integers(0, 10**9) | st.none()] * 8),
    path=text | st.none(),
    server=text | st.none(),
    retries=st.integers(0, 9),
    gateway_request_id=st.sampled_from(["a" * 32, "b" * 32]) | st.none(),
)
gateways = st.builds(
    GatewayRecord,
    attempt_id=st.integers(1, 2**64 - 1),
    offset=st.just(0),
    request_ids=st.sampled_from([(EDGE.request_id,), (), ("other", EDGE.request_id)]),
    started_us=moments,
    gateway_request_id=st.sampled_from(["a" * 32, "b" * 32]) | st.none(),
    status=st.integers(100, 999) | st.none(),
    source=st.sampled_from(["kong", "upstream"]) | st.none(),
    kong_ms=times,
    proxy_ms=times,
    request_ms=times,
    consumer_id=text | st.none(),
    tries=st.tuples(st.builds(Try, text, st.integers(0, 65535), text | st.none(), st.none(), moments, times)),
)


@given(
    st.lists(edges, max_size=2, unique_by=lambda edge: edge.rec_id),
    st.lists(gateways, max_size=3, unique_by=lambda one: one.attempt_id),
)
def test_whatever_records_hold_the_document_keeps_its_contract(
    some_edges: list[EdgeRecord], attempts: list[GatewayRecord]
) -> None:
    for lineage in resolve(some_edges, attempts):
        document = lineage_document(lineage)
        assert faults(document) == []
        assert json.loads(json.dumps(document)) == document


def test_values_made_by_hand_are_written_as_they_are() -> None:
    lineage = Lineage(
        bucket_s=0,
        request_id="",
        rec_id=1,
        rev=3,
        outcome="edge_only",
        match="unmatched",
        missing="pending",
        final=False,
        edge=EDGE,
        attempts=(),
        delivered=None,
        trace_id="a" * 32,
        trace_id_source="edge",
        identity=Identity(kind="mtls", subject="/CN=x", proof="edge.mtls"),
        verdict=Verdict("ok", "ok", "Fine."),
        flags=("late",),
        clock_offset_ms=-3.5,
    )
    document = lineage_document(lineage)
    assert document["request_id"] is None
    assert document["identity"]["subject"] == "/CN=x"
    assert document["verdict"] == {"domain": "ok", "code": "ok", "text": "Fine."}
    assert document["clock_offset_ms"] == -3.5
    assert faults(document) == []
    assert Phase._fields == ("name", "hop", "start_ms", "duration_ms")
