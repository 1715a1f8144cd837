"""What each field of an entry means, whatever version and whatever type."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pipeline.formats import flags as flag
from pipeline.formats import kong_record
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Policy, Redactor
from pipeline.model import GatewayRecord

Parse = Callable[[bytes], Any]


def minimal(**changes: Any) -> bytes:
    request = {"id": "a" * 32, "method": "GET", "uri": "/", "headers": {"x-request-id": "r"}, "size": 1}
    return json.dumps(
        {"request": request, "response": {"status": 200}, "started_at": 1795460245226, **changes}
    ).encode()


@pytest.mark.parametrize(
    "name",
    [
        "response",
        "latencies",
        "tries",
        "client_ip",
        "service",
        "route",
        "consumer",
        "workspace",
        "upstream_uri",
        "source",
    ],
)
def test_a_field_that_is_not_there_is_unknown_and_no_error(name: str, parse_kong: Parse) -> None:
    record = parse_kong(minimal(**{name: None}))
    assert record.gateway_request_id == "a" * 32
    assert record.flags == ()


def test_a_field_of_an_odd_type_costs_itself_alone(parse_kong: Parse) -> None:
    record = parse_kong(
        minimal(consumer="alice", latencies={"kong": [], "proxy": 3}, response={"status": "200", "size": {}})
    )
    assert record.flags == (flag.ODD_TYPES,)
    assert (record.consumer_id, record.kong_ms, record.proxy_ms, record.status) == (None, None, 3, 200)
    assert record.gateway_request_id == "a" * 32


def test_empty_lists_of_lua_are_empty_lists(parse_kong: Parse) -> None:
    assert parse_kong(minimal(tries={})).tries == ()


def test_the_time_in_kong_means_the_same_in_every_version(parse_kong: Parse) -> None:
    new = parse_kong(minimal(latencies={"kong": 5, "proxy": 7, "receive": 3, "request": 15}))
    old = parse_kong(
        minimal(
            latencies={"kong": 8, "proxy": 7, "request": 15},
            response={"status": 200, "headers": {"x-kong-proxy-latency": "5"}},
        )
    )
    untold = parse_kong(minimal(latencies={"kong": 8, "proxy": 7, "request": 15}))
    assert (new.kong_ms, new.receive_ms) == (old.kong_ms, old.receive_ms) == (5, 3)
    assert (untold.kong_ms, untold.receive_ms) == (8, None)


@pytest.mark.parametrize(
    ("trace_id", "expected"),
    [
        ({"w3c": "4bf92f3577b34da6a3ce929d0e0e4736"}, "4bf92f3577b34da6a3ce929d0e0e4736"),
        ({"b3": "a3ce929d0e0e4736"}, "0000000000000000a3ce929d0e0e4736"),
        ({"w3c": "0" * 32, "b3": "A3"}, None),
        ({"datadog": "123", "gcp": "4bf92f3577b34da6a3ce929d0e0e4736"}, "4bf92f3577b34da6a3ce929d0e0e4736"),
        ({"aws": "4bf92f3577b34da6a3ce929d0e0e4736"}, "4bf92f3577b34da6a3ce929d0e0e4736"),
        ({"datadog": "123"}, None),
    ],
)
def test_trace_ids_are_given_in_the_w3c_form(
    trace_id: dict[str, str], expected: str, parse_kong: Parse
) -> None:
    assert parse_kong(minimal(trace_id=trace_id)).trace_id == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("t=1795460243518000", 1_795_460_243_518_000),
        ("t=1795460243.518", 1_795_460_243_518_000),
        ("now", None),
        (["t=1"], None),
    ],
)
def test_the_start_that_the_edge_sent_is_read(value: object, expected: int | None, parse_kong: Parse) -> None:
    request = {"id": "a", "headers": {"x-request-start": value}}
    assert parse_kong(minimal(request=request)).request_start_us == expected


def test_upstream_statuses_are_one_per_try(parse_kong: Parse) -> None:
    assert parse_kong(minimal(upstream_status="502, - : 200")).upstream_status == ("502", "-", "200")
    assert parse_kong(minimal(upstream_status=200)).upstream_status == ("200",)
    assert parse_kong(minimal(upstream_status=["504", 200])).upstream_status == ("504", "200")


def test_before_kong_had_ids_the_same_entry_has_the_same_and_others_another(parse_kong: Parse) -> None:
    request = {"method": "GET", "uri": "/", "headers": {"x-request-id": "r"}}
    one, again = parse_kong(minimal(request=request)), parse_kong(minimal(request=request))
    other = parse_kong(minimal(request=request, started_at=1795460245227))
    assert one.gateway_request_id is None
    assert one.attempt_id == again.attempt_id != other.attempt_id


def test_claims_that_kong_itself_logged_name_a_subject(parse_kong: Parse) -> None:
    assert parse_kong(minimal(claims={"client_id": "svc", "sub": "alice"})).claim_subject == "alice"
    assert parse_kong(minimal(claims={"sub": 7})).claim_subject is None


def test_longer_texts_than_any_server_takes_are_cut(parse_kong: Parse) -> None:
    record = parse_kong(
        minimal(request={"id": "a", "uri": "/" + "x" * 5_000_000, "headers": {"user-agent": ["y" * 9000]}})
    )
    assert len(record.path) == 8192
    assert len(record.user_agent) == 8192
    assert record.flags == (flag.TRUNCATED,)


def test_bytes_that_are_no_text_stay_visible(parse_kong: Parse) -> None:
    record = parse_kong(minimal().replace(b'"uri": "/"', b'"uri": "/caf\xe9\\ud800"'))
    assert record.path == "/caf\\xe9\ufffd"
    assert flag.NOT_UTF8 in record.flags


def test_users_and_addresses_go_by_pseudonyms_where_that_is_wanted() -> None:
    parser = KongParser(redactor=Redactor(b"k" * 32, Policy(pseudonyms=frozenset({"user", "client_ip"}))))
    body = minimal(consumer={"id": "1", "username": "alice", "custom_id": "c"}, client_ip="198.51.100.7")
    record = parser.parse(body, offset=1, arrival_ns=0, peer="")
    assert isinstance(record, GatewayRecord)
    shown = f"{record}"
    assert "alice" not in shown
    assert "198.51.100.7" not in shown
    assert record.consumer_name
    assert record.consumer_name.startswith("person-")
    assert record.client_ip
    assert record.client_ip.startswith("fd68:6f70:")


def test_arguments_stand_in_the_order_of_the_fields(
    names_by_position: Callable[[ModuleType, str], list[str]],
) -> None:
    fields = list(GatewayRecord.__struct_fields__)
    said = names_by_position(kong_record, "GatewayRecord")
    assert said == fields[: len(said)]
    assert fields[len(said) :] == ["headers"]  # put in afterwards, where some are kept


@pytest.mark.parametrize(
    ("uri", "upstream", "shown"),
    [
        ("/a/b", "/a/b", "/a/b"),
        ("/a;key=1/b", "/a;key=1/b", None),
        ("/a//u:p@h/b", "/a//u:p@h/b", "/a//h/b"),
        ("/a?x=1", "/a", "/a"),
        ("/a", "/up/a?token=abc", None),
    ],
)
def test_an_upstream_target_is_redacted_as_a_target_of_its_own(
    uri: str, upstream: str, shown: str | None, parse_kong: Parse, redactor: Redactor
) -> None:
    request = {"id": "a" * 32, "method": "GET", "uri": uri}
    record = parse_kong(minimal(request=request, upstream_uri=upstream))
    assert record.upstream_uri == redactor.uri(upstream)
    if shown is None:
        assert record.upstream_uri != upstream
    else:
        assert record.upstream_uri == shown


@pytest.mark.parametrize("sent", ["r", "same", ["same", "other"], None])
def test_a_correlation_id_is_itself_whether_it_is_a_header_too_or_not(sent: Any, parse_kong: Parse) -> None:
    headers = {} if sent is None else {"x-request-id": sent}
    request = {"id": "a" * 32, "method": "GET", "uri": "/", "headers": headers}
    record = parse_kong(minimal(request=request, correlation_id="same"))
    assert record.correlation_id == "same"
    assert record.request_ids == (
        ("same",) if sent is None else tuple([sent] if isinstance(sent, str) else sent)
    )


@pytest.mark.parametrize(
    ("header", "consumer", "credential", "anonymous"),
    [
        (None, None, None, False),
        (None, {"id": "c"}, None, True),
        (None, {"id": "c"}, {"id": "k"}, False),
        ("true", {"id": "c"}, {"id": "k"}, True),
        (["true", "false"], None, None, True),
        ("false", {"id": "c"}, None, True),
        ("false", None, None, False),
    ],
)
def test_who_is_anonymous(
    header: Any, consumer: Any, credential: Any, anonymous: bool, parse_kong: Parse
) -> None:
    headers = {} if header is None else {"x-anonymous-consumer": header}
    request = {"id": "a" * 32, "method": "GET", "uri": "/", "headers": headers}
    record = parse_kong(minimal(request=request, consumer=consumer, authenticated_entity=credential))
    assert record.anonymous is anonymous
