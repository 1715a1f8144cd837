"""The spans of a lineage: which there are, how they hang together, what they say."""

import hmac
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from pipeline.model import Lineage, Timers, Try
from pipeline.spans import Spans, SpanSettings

Make = Callable[..., Any]
SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
START_NS = 1_795_460_243_518_000_000
MS = 1_000_000


def test_a_request_is_four_spans_each_below_the_one_before(pair: Lineage, spans: Make) -> None:
    edge, attempt, gateway, tried = spans(pair)
    assert [span.kind for span in (edge, attempt, gateway, tried)] == [SERVER, CLIENT, SERVER, CLIENT]
    assert not edge.parent_span_id
    assert edge.span_id.hex() == "b7ad6b7169203331"
    assert attempt.parent_span_id == edge.span_id
    assert gateway.parent_span_id == attempt.span_id
    assert tried.parent_span_id == gateway.span_id
    assert {span.trace_id.hex() for span in (edge, attempt, gateway, tried)} == {
        "0af7651916cd43dd8448eb211c80319c"
    }
    assert [span.name for span in (edge, attempt, gateway, tried)] == [
        "GET orders-by-id",
        "GET",
        "GET orders-by-id",
        "GET",
    ]


def test_times_are_those_of_the_logs(pair: Lineage, spans: Make) -> None:
    between = [
        ((span.start_time_unix_nano - START_NS) // MS, (span.end_time_unix_nano - START_NS) // MS)
        for span in spans(pair)
    ]
    assert between == [(0, 26), (2, 26), (3, 22), (5, 21)]


def test_resources_are_the_two_programs_with_their_nodes(pair: Lineage, sent: Make) -> None:
    found = [about for about, _ in sent(Spans(SpanSettings()).of(pair))]
    edge = {"service.name": "haproxy", "service.instance.id": "edge-1", "host.name": "edge-1"}
    kong = {"service.name": "kong", "service.instance.id": "10.0.0.5", "host.name": "10.0.0.5"}
    assert found == [edge, edge, kong, kong]


def test_the_edge_span_says_what_the_client_asked_and_got(
    pair: Lineage, spans: Make, attributes_of: Make
) -> None:
    assert attributes_of(spans(pair)[0]) == {
        "http.request.method": "GET",
        "url.scheme": "https",
        "url.path": "/orders/7",
        "url.query": "page=2",
        "server.address": "api.example.com",
        "server.port": 443,
        "network.protocol.version": "2",
        "http.response.status_code": 200,
        "user_agent.original": "curl/8",
        "client.address": "192.0.2.7",
        "client.port": 40312,
        "network.peer.address": "192.0.2.7",
        "network.peer.port": 40312,
        "tls.protocol.name": "tls",
        "tls.protocol.version": "1.3",
        "tls.cipher": "TLS_AES_256_GCM_SHA384",
        "haproxy.unique_id": pair.request_id,
        "haproxy.termination_state": "----",
        "haproxy.frontend": "fe_main",
        "haproxy.backend": "be_kong",
        "haproxy.server": "kong1",
        "haproxy.timing.TR": 2,
        "haproxy.timing.Tw": 0,
        "haproxy.timing.Tc": 1,
        "haproxy.timing.Tr": 20,
        "haproxy.timing.Td": 3,
        "haproxy.timing.Ta": 26,
        "lineage.match": "proven",
        "lineage.verdict": "ok",
    }


def test_the_other_spans_say_where_it_went(pair: Lineage, spans: Make, attributes_of: Make) -> None:
    _, attempt, gateway, tried = map(attributes_of, spans(pair))
    assert attempt == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.full": "http://api.example.com/orders/7?page=2",
        "server.address": "10.0.0.5",
        "server.port": 8000,
        "network.peer.address": "10.0.0.5",
        "network.peer.port": 8000,
        "http.response.status_code": 200,
        "kong.request.id": "b49d0708a1b2c3d4e5f60718293a4b5c",
    }
    assert gateway["kong.route.name"] == "orders-by-id"
    assert gateway["kong.service.name"] == "orders"
    assert gateway["kong.response.source"] == "upstream"
    assert gateway["lineage.delivered"] is True
    assert tried == {
        "http.request.method": "GET",
        "server.address": "10.1.0.9",
        "server.port": 9000,
        "network.peer.address": "10.1.0.9",
        "network.peer.port": 9000,
        "url.path": "/v2/orders/7",
        "url.query": "page=2",
        "http.response.status_code": 200,
    }


def test_a_retry_shows_every_attempt_and_every_try_and_which_failed(
    retried: Lineage, spans: Make, attributes_of: Make
) -> None:
    edge, *rest = spans(retried)
    first, first_gateway, bad_try, good_try, second, second_gateway, last_try = rest
    assert first.parent_span_id == second.parent_span_id == edge.span_id
    assert bad_try.parent_span_id == good_try.parent_span_id == first_gateway.span_id
    assert last_try.parent_span_id == second_gateway.span_id
    failed = [span.status.code == 2 for span in (edge, first, first_gateway, bad_try, good_try, second)]
    assert failed == [False, True, True, True, True, False]
    assert "http.request.resend_count" not in attributes_of(first)
    assert attributes_of(second)["http.request.resend_count"] == 1
    assert attributes_of(good_try)["http.request.resend_count"] == 1
    assert attributes_of(bad_try)["error.type"] == "502"
    assert attributes_of(bad_try)["kong.try.state"] == "failed"
    assert attributes_of(first_gateway)["lineage.delivered"] is False
    assert attributes_of(edge)["haproxy.retries"] == 1


def test_attempts_of_a_retry_are_as_long_as_the_gateway_says(retried: Lineage, spans: Make) -> None:
    _, first, gateway, *_ = spans(retried)
    assert first.start_time_unix_nano == gateway.start_time_unix_nano
    assert first.end_time_unix_nano == gateway.end_time_unix_nano


def test_a_wait_in_the_queue_and_a_redispatch_are_events(lineage: Make, edge: Make, spans: Make) -> None:
    timers = Timers(TR=2, Tw=5, Tc=3, Tr=10, Td=1, Ta=21)
    (span,) = spans(lineage(edge(timers=timers, redispatched=True, gateway_request_id=None)))
    assert [(event.name, (event.time_unix_nano - START_NS) // MS) for event in span.events] == [
        ("haproxy.queued", 2),
        ("haproxy.redispatched", 10),
    ]
    assert span.events[0].attributes[0].value.int_value == 5


def test_what_a_plugin_refused_is_an_event_of_the_gateway(
    lineage: Make, edge: Make, attempt: Make, spans: Make
) -> None:
    refused = attempt(status=401, source="kong", tries=(), proxy_ms=None)
    _, client, gateway = spans(lineage(edge(status=401), refused))
    assert [event.name for event in gateway.events] == ["kong.denied"]
    assert client.status.code == 2
    assert gateway.status.code == 0


@pytest.mark.parametrize(
    ("wanted", "traced", "kinds"),
    [
        ("auto", False, [SERVER, CLIENT, SERVER, CLIENT]),
        ("auto", True, [SERVER, CLIENT]),
        ("always", True, [SERVER, CLIENT, SERVER, CLIENT]),
        ("never", False, [SERVER, CLIENT]),
    ],
)
def test_what_kongs_own_plugin_sent_is_not_sent_again(
    lineage: Make, edge: Make, attempt: Make, spans: Make, wanted: str, traced: bool, kinds: list[int]
) -> None:
    own = attempt(trace_id="0af7651916cd43dd8448eb211c80319c" if traced else None)
    row = lineage(edge(), own)
    assert [span.kind for span in spans(row, gateway_spans=wanted)] == kinds
    assert Spans(SpanSettings(gateway_spans=wanted)).count(row) == len(kinds)


def test_a_plugin_that_only_passed_an_unsampled_context_on_sent_nothing(
    lineage: Make, edge: Make, attempt: Make, spans: Make
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    row = lineage(edge(), attempt(trace_id=trace, traceparent=f"00-{trace}-00f067aa0ba902b7-00"))
    assert len(spans(row)) == 4


def test_a_gateway_half_alone_waits_below_the_attempt_that_may_still_come(
    lineage: Make, edge: Make, attempt: Make, spans: Make
) -> None:
    gateway, _ = spans(lineage(None, attempt()))
    late = spans(lineage(edge(), attempt()))
    assert gateway.parent_span_id == late[1].span_id
    assert gateway.span_id == late[2].span_id
    assert gateway.start_time_unix_nano == late[2].start_time_unix_nano


def test_a_gateway_that_was_reached_past_the_edge_is_a_root(
    lineage: Make, attempt: Make, spans: Make
) -> None:
    past = attempt(request_ids=(), traceparent=None)
    gateway, tried = spans(lineage(None, past))
    assert not gateway.parent_span_id
    assert tried.parent_span_id == gateway.span_id


def test_an_edge_half_alone_is_one_span(lineage: Make, edge: Make, spans: Make) -> None:
    (span,) = spans(lineage(edge(status=503, termination="SC--", gateway_request_id=None)))
    assert (span.name, span.status.code) == ("GET", 2)


def test_who_asked_is_on_spans_only_where_the_operator_wants_it(
    lineage: Make, edge: Make, attempt: Make, spans: Make, attributes_of: Make
) -> None:
    known = attempt(consumer_id="c-1", consumer_name="alice", credential_id="k-1")
    row = lineage(edge(), known)
    assert "alice" not in str(spans(row))
    told = attributes_of(spans(row, with_identity=True)[0])
    assert (told["user.id"], told["user.name"]) == ("c-1", "alice")


def test_a_pseudonym_is_a_keyed_hash_of_who_asked_and_says_nothing_else(
    lineage: Make, edge: Make, attempt: Make, spans: Make, attributes_of: Make
) -> None:
    key = b"0123456789abcdef"
    row = lineage(edge(), attempt(consumer_id="c-1", consumer_name="alice", credential_id="k-1"))
    said = spans(row, pseudonym_key=key)
    told = attributes_of(said[0])
    assert told["enduser.pseudo.id"] == hmac.new(key, b"c-1", "sha256").hexdigest()[:32]
    assert not {"user.id", "user.name"} & told.keys()
    assert "alice" not in str(said)
    assert "c-1" not in str(said)
    other = attributes_of(spans(row, pseudonym_key=key[::-1])[0])
    assert other["enduser.pseudo.id"] != told["enduser.pseudo.id"]
    assert all("enduser.pseudo.id" not in attributes_of(one) for one in said[1:])


def test_who_is_not_known_has_no_pseudonym(
    lineage: Make, edge: Make, attempt: Make, spans: Make, attributes_of: Make
) -> None:
    said = spans(lineage(edge(), attempt()), pseudonym_key=b"0123456789abcdef", with_identity=True)
    assert all("enduser.pseudo.id" not in attributes_of(one) for one in said)


def test_without_an_edge_record_the_gateways_span_has_the_pseudonym(
    lineage: Make, attempt: Make, spans: Make, attributes_of: Make
) -> None:
    row = lineage(None, attempt(consumer_id="c-1"))
    assert "enduser.pseudo.id" in attributes_of(spans(row, pseudonym_key=b"0123456789abcdef")[0])


def test_the_same_lineage_gives_the_same_bytes(retried: Lineage) -> None:
    assert Spans(SpanSettings()).of(retried) == Spans(SpanSettings()).of(retried)


def test_a_span_never_ends_before_it_starts(lineage: Make, edge: Make, attempt: Make, spans: Make) -> None:
    tries = (
        Try("10.1.0.8", 1, "failed", 502, 5_000_000, 0.0),
        Try("10.1.0.9", 1, None, None, 4_000_000, 0.0),
    )
    odd = attempt(tries=tries, request_ms=None, proxy_ms=None)
    for span in spans(lineage(edge(timers=Timers(TR=50, Ta=3)), odd)):
        assert span.end_time_unix_nano >= span.start_time_unix_nano


def test_names_and_services_are_the_operators(pair: Lineage, sent: Make) -> None:
    settings = SpanSettings(edge_service="edge-eu", gateway_service="gateway-eu")
    names = [about["service.name"] for about, _ in sent(Spans(settings).of(pair))]
    assert names == ["edge-eu", "edge-eu", "gateway-eu", "gateway-eu"]
