"""Requests are put together, never cut, root first."""

from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.model import Lineage
from pipeline.spans import Framer, Spans, SpanSettings

Make = Callable[..., Any]
SPANS = Spans(SpanSettings())


def test_all_spans_of_a_request_go_in_one_frame_root_first(lineage: Make, edge: Make, attempt: Make) -> None:
    framer = Framer(most_bytes=5000)
    for number in range(40):
        row = lineage(
            edge(rec_id=number + 1, request_id=f"request-{number:04}", traceparent=None),
            attempt(request_ids=(f"request-{number:04}",), traceparent=None, node=f"10.0.0.{number % 3}"),
        )
        framer.add(SPANS.of(row))
    frames = framer.take()
    assert len(frames) > 5
    assert sum(frame.spans for frame in frames) == 160
    seen: set[bytes] = set()
    for frame in frames:
        read = ExportTraceServiceRequest.FromString(frame.body)
        spans = [span for group in read.resource_spans for span in group.scope_spans[0].spans]
        assert len(spans) == frame.spans
        traces = {span.trace_id for span in spans}
        assert not traces & seen
        seen |= traces
        for trace in traces:
            mine = [span for span in spans if span.trace_id == trace]
            assert len(mine) == 4
            assert not mine[0].parent_span_id
        names = [group.resource.attributes[0].value.string_value for group in read.resource_spans]
        assert names == sorted(names, key=["haproxy", "kong"].index)


def test_no_frame_is_larger_than_it_may_be_unless_one_request_is(
    lineage: Make, edge: Make, attempt: Make
) -> None:
    def spans_of(number: int, path: str) -> Any:
        return SPANS.of(lineage(edge(rec_id=number, path=path, traceparent=None), attempt(traceparent=None)))

    framer = Framer(most_bytes=5000)
    for number in range(1, 30):
        framer.add(spans_of(number, "/" + "x" * (number * 37 % 600)))
    framer.add(spans_of(30, "/" + "x" * 9000))
    framer.add(spans_of(31, "/"))
    sizes = [
        sum(
            len(span.SerializeToString())
            for group in read.resource_spans
            for span in group.scope_spans[0].spans
        )
        for read in (ExportTraceServiceRequest.FromString(frame.body) for frame in framer.take())
    ]
    assert [size for size in sizes if size > 5000] == [sizes[-2]]
    assert min(sizes[:-3]) > 2000


def test_each_resource_stands_once_in_a_frame(pair: Lineage) -> None:
    framer = Framer()
    for _ in range(3):
        framer.add(SPANS.of(pair))
    (frame,) = framer.take()
    read = ExportTraceServiceRequest.FromString(frame.body)
    assert [len(group.scope_spans[0].spans) for group in read.resource_spans] == [6, 6]
    assert {group.scope_spans[0].schema_url for group in read.resource_spans} == {
        "https://opentelemetry.io/schemas/1.44.0"
    }


def test_nothing_gives_no_frame() -> None:
    framer = Framer()
    framer.add([])
    assert framer.take() == []
