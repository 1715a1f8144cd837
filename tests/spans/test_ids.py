"""Which trace a request belongs to, and that ids stay the same."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from pipeline.model import Lineage
from pipeline.spans.ids import attempt_key, context_of, edge_span_id, hashed, trace_id_for

Make = Callable[..., Any]
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def test_the_edge_span_has_the_id_that_the_edge_sent_downstream(pair: Lineage) -> None:
    assert trace_id_for(pair) == TRACE_ID
    assert edge_span_id(TRACE_ID, pair.edge).hex() == "b7ad6b7169203331"


def test_an_edge_that_only_passed_the_clients_header_on_gets_an_id_of_its_own(edge: Make) -> None:
    passed = f"00-{TRACE_ID}-b7ad6b7169203331-01"
    record = edge(traceparent=passed, claimed_traceparent=passed)
    assert edge_span_id(TRACE_ID, record) == hashed(TRACE_ID, "edge", "77")


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        f"00-{TRACE_ID}-0000000000000000-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"ff-{TRACE_ID}-b7ad6b7169203331-01",
        f"00-{TRACE_ID.upper()}-b7ad6b7169203331-01",
        f"00-{TRACE_ID}-b7ad6b7169203331-01-more",
        f"00-{TRACE_ID}-b7ad6b7169203331-01,00-{TRACE_ID}-b7ad6b7169203331-01",
    ],
)
def test_a_header_that_is_not_valid_is_none_and_the_ids_are_made(
    edge: Make, lineage: Make, traceparent: str | None
) -> None:
    assert context_of(traceparent) is None
    row = lineage(edge(traceparent=traceparent))
    assert trace_id_for(row) == row.request_id.replace("-", "")
    assert edge_span_id(trace_id_for(row), row.edge) == hashed(trace_id_for(row), "edge", "77")


def test_a_newer_version_of_the_header_is_read_as_far_as_it_is_known() -> None:
    context = context_of(f"01-{TRACE_ID}-b7ad6b7169203331-03-more")
    assert context == (TRACE_ID, "b7ad6b7169203331", True)
    assert context_of(f"00-{TRACE_ID}-b7ad6b7169203331-02") == (TRACE_ID, "b7ad6b7169203331", False)


@pytest.mark.parametrize(
    ("request_id", "expected"),
    [
        ("47C60CD1-3b7a-4e1c-8f2d-0a1b2c3d4e5f", "47c60cd13b7a4e1c8f2d0a1b2c3d4e5f"),
        ("req/8f2d0a1b#12", sha256(b"lineage/trace/req/8f2d0a1b#12").hexdigest()[:32]),
        ("", "b49d0708a1b2c3d4e5f60718293a4b5c"),
        ("-", "b49d0708a1b2c3d4e5f60718293a4b5c"),
        ("00000000-0000-0000-0000-000000000000", "b49d0708a1b2c3d4e5f60718293a4b5c"),
    ],
)
def test_without_a_trace_the_id_that_a_request_is_found_by_names_it(
    edge: Make, lineage: Make, request_id: str, expected: str
) -> None:
    assert trace_id_for(lineage(edge(traceparent=None, request_id=request_id))) == expected


def test_a_request_without_any_id_is_named_by_its_record(edge: Make, lineage: Make) -> None:
    row = lineage(edge(traceparent=None, request_id="", gateway_request_id=None))
    assert trace_id_for(row) == sha256(b"lineage/trace/77").hexdigest()[:32]


def test_spans_of_an_attempt_without_kongs_id_are_named_by_its_hash(attempt: Make) -> None:
    assert attempt_key(attempt(gateway_request_id=None)) == "1000"
