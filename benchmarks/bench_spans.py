"""What the four spans of a request cost: ours against OpenTelemetry's own ways, with the same names and attributes.

All three end with the bytes of an `ExportTraceServiceRequest`. The SDK's tracer starts and ends spans and its
encoder makes protobuf of them; "protobuf objects" fills the generated classes directly. Ours starts from the
lineage and also works out what the others are handed. Processor time of one thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench_insert import lineages
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

from pipeline.model import Lineage
from pipeline.spans import Framer, SamplingRules, Spans, SpanSettings, decide

REQUESTS, ROUNDS = 2000, 7
Plain = tuple[str, int, int, int, dict[str, Any], bytes, bytes, bytes, bool]
"""Name, kind, start, end, attributes, trace id, span id, parent's, whether it failed."""


class Kept(SpanProcessor):
    """Keeps ended spans, as a batch processor would."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Keep one."""
        self.spans.append(span)


def plain_of(rows: Sequence[Lineage]) -> list[tuple[str, list[Plain]]]:
    """Give the same spans as plain values, by service."""
    found: dict[str, list[Plain]] = {}
    for frame in framed(rows):
        for group in ExportTraceServiceRequest.FromString(frame).resource_spans:
            service = group.resource.attributes[0].value.string_value
            for s in group.scope_spans[0].spans:
                attributes = {a.key: _value(a.value) for a in s.attributes}
                found.setdefault(service, []).append(
                    (
                        s.name,
                        s.kind,
                        s.start_time_unix_nano,
                        s.end_time_unix_nano,
                        attributes,
                        s.trace_id,
                        s.span_id,
                        s.parent_span_id,
                        s.status.code == 2,  # noqa: PLR2004 -- error
                    )
                )
    return list(found.items())


def _value(value: Any) -> Any:  # noqa: ANN401 -- of any kind
    kind = value.WhichOneof("value")
    return (
        [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
    )


def framed(rows: Sequence[Lineage]) -> list[bytes]:
    """Make the requests our way."""
    spans, framer = Spans(SpanSettings()), Framer()
    for row in rows:
        framer.add(spans.of(row))
    return [frame.body for frame in framer.take()]


def by_sdk(groups: Sequence[tuple[str, list[Plain]]]) -> list[bytes]:
    """Make them by the SDK's tracer and encoder; it chooses the ids itself."""
    kept = Kept()
    for service, spans in groups:
        provider = TracerProvider(resource=Resource({"service.name": service}))
        provider.add_span_processor(kept)
        tracer = provider.get_tracer("hoptrail", "0")
        for name, kind, start, end, attributes, trace_id, _, parent, _ in spans:
            around = None
            if parent:
                above = SpanContext(
                    int.from_bytes(trace_id, "big"), int.from_bytes(parent, "big"), True, TraceFlags(1)
                )
                around = set_span_in_context(NonRecordingSpan(above))
            span = tracer.start_span(
                name, around, SpanKind(kind - 1), attributes=attributes, start_time=start
            )
            span.end(end)
    return [encode_spans(kept.spans).SerializeToString()]


def by_protobuf(groups: Sequence[tuple[str, list[Plain]]]) -> list[bytes]:
    """Make them by the generated classes."""
    request = ExportTraceServiceRequest()
    for service, spans in groups:
        group = request.resource_spans.add()
        group.resource.attributes.add(key="service.name").value.string_value = service
        scoped = group.scope_spans.add()
        for name, kind, start, end, attributes, trace_id, span_id, parent, failed in spans:
            span = Span(
                trace_id=trace_id,
                span_id=span_id,
                parent_span_id=parent,
                name=name,
                kind=kind,
                start_time_unix_nano=start,
                end_time_unix_nano=end,
                flags=0x101,
            )
            for key, value in attributes.items():
                held = span.attributes.add(key=key).value
                if isinstance(value, bool):
                    held.bool_value = value
                elif isinstance(value, int):
                    held.int_value = value
                elif isinstance(value, str):
                    held.string_value = value
                else:
                    for one in value:
                        held.array_value.values.add().string_value = one
            if failed:
                span.status.code = 2
            scoped.spans.append(span)
    return [request.SerializeToString()]


def measured(act: Callable[[], object]) -> float:
    """Give the processor time of an act, seconds."""
    began = time.process_time()
    act()
    return time.process_time() - began


def main() -> None:
    """Print microseconds for four spans, and the ratios."""
    rows = lineages(1)[:REQUESTS]
    groups = plain_of(rows)
    count = sum(len(spans) for _, spans in groups)
    ways: dict[str, Callable[[], object]] = {
        "SDK tracer and encoder": lambda: by_sdk(groups),
        "protobuf objects": lambda: by_protobuf(groups),
        "ours": lambda: framed(rows),
        "deciding that nothing is sent": lambda: [decide(row, SamplingRules(share=0.0)) for row in rows],
    }
    taken = {name: [measured(act) for _ in range(ROUNDS)] for name, act in ways.items()}
    print(f"{REQUESTS} requests, {count} spans, {sum(map(len, framed(rows))) / count:.0f} bytes a span")
    for name, times in taken.items():
        print(f"  {name:30} {statistics.median(times) / count * 4e6:8.1f} us for four spans")
    ours = statistics.median(taken["ours"])
    for name in ("SDK tracer and encoder", "protobuf objects"):
        print(f"  {name} costs {statistics.median(taken[name]) / ours:.1f} times ours")


if __name__ == "__main__":
    main()
