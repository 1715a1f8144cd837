"""What is encoded by hand is what the official classes read, and byte for byte what they write."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline.spans.wire import (
    CLIENT,
    ERROR,
    SERVER,
    IntKey,
    TextKey,
    event,
    link,
    resource,
    resource_spans,
    scope,
    span,
    span_name,
    varint,
    words,
    yes,
)

texts = st.text(max_size=300)
keys = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=140)
numbers = st.integers(-(2**63), 2**63 - 1)
times = st.integers(1, 2**63 // 1000 - 1)
names = st.text(min_size=1, max_size=300)
ids = st.binary(min_size=8, max_size=8)
attributes = st.lists(
    st.tuples(keys, st.one_of(texts, numbers, st.booleans(), st.lists(texts, max_size=4))), max_size=6
)


def encoded(key: str, value: Any) -> bytes:
    if isinstance(value, bool):
        return yes(key, value=value)
    if isinstance(value, int):
        return IntKey(key)(value)
    return words(key, value) if isinstance(value, list) else TextKey(key)(value)


def plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [plain(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@given(
    st.binary(min_size=16, max_size=16),
    ids,
    ids | st.just(b""),
    names,
    st.sampled_from([SERVER, CLIENT]),
    st.tuples(times, times).map(lambda pair: (min(pair), max(pair))),
    attributes,
    st.lists(st.tuples(keys, times, st.lists(st.tuples(keys, numbers), max_size=2)), max_size=2),
    st.none() | st.tuples(st.binary(min_size=16, max_size=16), ids),
    st.booleans(),
)
def test_any_span_is_read_back_by_the_official_classes(
    trace: bytes,
    own: bytes,
    parent: bytes,
    name: str,
    kind: int,
    between: tuple[int, int],
    pairs: list[tuple[str, Any]],
    events: list[tuple[str, int, list[tuple[str, int]]]],
    linked: tuple[bytes, bytes] | None,
    failed: bool,
) -> None:
    rest = b"".join(encoded(key, value) for key, value in pairs)
    rest += b"".join(event(key, time_us, about) for key, time_us, about in events)
    rest += link(*linked) if linked else b""
    rest += ERROR if failed else b""
    body = span(trace, own, parent, span_name(name), kind, *between, rest, is_remote=bool(parent))
    request = resource_spans(resource([("service.name", name)]), scope("hoptrail", "1"), "url", [body, body])

    read = ExportTraceServiceRequest.FromString(request + request)
    assert read.SerializeToString(deterministic=True) == request + request
    assert len(read.resource_spans) == 2
    (group,) = read.resource_spans[0].scope_spans
    assert (group.scope.name, group.schema_url) == ("hoptrail", "url")
    one = group.spans[1]
    assert (one.trace_id, one.span_id, one.parent_span_id, one.name) == (trace, own, parent, name)
    assert (one.kind, one.status.code) == (kind, 2 if failed else 0)
    assert (one.start_time_unix_nano, one.end_time_unix_nano) == tuple(us * 1000 for us in between)
    assert [(a.key, plain(a.value)) for a in one.attributes] == pairs
    assert [
        (e.name, e.time_unix_nano, [(a.key, plain(a.value)) for a in e.attributes]) for e in one.events
    ] == [(key, time_us * 1000, about) for key, time_us, about in events]
    assert [(found.trace_id, found.span_id) for found in one.links] == ([linked] if linked else [])
    assert one.flags == (0x301 if parent else 0x101)


@given(texts)
def test_a_value_that_comes_often_is_written_as_one_that_comes_once(value: str) -> None:
    key = TextKey("user_agent.original")
    assert key.often(value) == key(value) == key.often(value)


def test_a_lone_surrogate_is_replaced_and_not_raised() -> None:
    assert b"a?b" in TextKey("url.path")("a\ud800b")


def test_values_that_clients_choose_do_not_stay_in_memory() -> None:
    key, number = TextKey("url.path"), IntKey("client.port")
    for one in range(10_000):
        key.often(f"/{one}")
        number(one)
    assert len(key._known) <= 4096
    assert len(number._known) <= 4096


@given(st.integers(0, 2**64 - 1))
def test_a_varint_has_seven_bits_a_byte_lowest_first(number: int) -> None:
    written = varint(number)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(written)) == number
    assert [byte >> 7 for byte in written] == [1] * (len(written) - 1) + [0]


def test_times_that_nobody_can_mean_are_moved_to_what_can_be_written() -> None:
    body = span(b"t" * 16, b"s" * 8, b"", span_name("GET"), SERVER, -5, 2**80, event("odd", -1))
    request = resource_spans(resource([]), scope("hoptrail", "1"), "url", [body])
    one = ExportTraceServiceRequest.FromString(request).resource_spans[0].scope_spans[0].spans[0]
    assert one.start_time_unix_nano == one.events[0].time_unix_nano == 0
    assert 2**63 - 2000 < one.end_time_unix_nano < 2**63
