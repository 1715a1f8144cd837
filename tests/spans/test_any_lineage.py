"""Whatever records hold, their spans are valid: they are read back, end after they start, and hang together."""

from __future__ import annotations

import typing
from types import UnionType
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Timers, Try
from pipeline.spans import REASONS, Framer, SamplingRules, Spans, SpanSettings, decide

_TEXTS = st.text(max_size=40) | st.sampled_from(
    ["\x00", "--", "GET", "CD--", "0" * 32, "-", "\U0001f40d" * 99]
)
_HEX = st.text("0123456789abcdef", min_size=32, max_size=32)
_CONTEXTS = st.builds("00-{}-{}-0{}".format, _HEX, _HEX.map(lambda text: text[:16]), st.sampled_from("013"))
_NUMBERS = st.integers(-(2**70), 2**70) | st.integers(0, 70_000)


def _values(name: str, kind: object) -> st.SearchStrategy[Any]:
    if isinstance(kind, UnionType):
        (inner,) = (one for one in typing.get_args(kind) if one is not type(None))
        return st.none() | _values(name, inner)
    if "traceparent" in name:
        return _TEXTS | _CONTEXTS
    if name == "trace_id":
        return _HEX.filter(lambda text: bool(text.strip("0")))  # as the formats promise it
    simple: dict[object, st.SearchStrategy[Any]] = {
        int: st.integers(1, 2**64 - 1) if name in {"rec_id", "attempt_id"} else _NUMBERS,
        float: st.floats(0, 1e12),
        str: _TEXTS,
        bool: st.booleans(),
        Timers: st.builds(Timers, *[st.none() | st.integers(0, 2**40)] * 8),
        tuple[str, ...]: st.lists(_TEXTS, max_size=3).map(tuple),
        tuple[tuple[str, str], ...]: st.just(()),
        tuple[Try, ...]: st.lists(_structs(Try), max_size=3).map(tuple) if name == "tries" else st.nothing(),
    }
    return simple[kind]


def _structs(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(struct)
    fields = {name: _values(name, hints[name]) for name in struct.__struct_fields__}
    return st.fixed_dictionaries(fields).map(lambda values: struct(**values))


@settings(deadline=None, max_examples=150)
@given(
    st.none() | _structs(EdgeRecord),
    st.lists(_structs(GatewayRecord), min_size=1, max_size=3),
    st.sampled_from(["restart", "continue"]),
)
def test_spans_of_anything_are_read_back_and_hang_together(
    edge: EdgeRecord | None, attempts: list[GatewayRecord], context: typing.Literal["restart", "continue"]
) -> None:
    spans = Spans(SpanSettings(context=context, gateway_spans="always", with_identity=True))
    for row in resolve([edge] if edge else [], attempts):
        built = spans.of(row)
        assert len(built) == spans.count(row)
        framer = Framer()
        framer.add(built)
        seen: set[bytes] = set()
        for frame in framer.take():
            read = ExportTraceServiceRequest.FromString(frame.body)
            found = [span for group in read.resource_spans for span in group.scope_spans[0].spans]
            assert len(found) == frame.spans == len(built)
            seen = {span.span_id for span in found}
            for span in found:
                assert span.start_time_unix_nano <= span.end_time_unix_nano
                assert (len(span.trace_id), len(span.span_id)) == (16, 8)
            assert all(one.span_id in seen for one in built)
        assert decide(row, SamplingRules()) in REASONS


def test_the_words_of_decisions_are_closed() -> None:
    assert len(set(REASONS)) == len(REASONS) == 6
