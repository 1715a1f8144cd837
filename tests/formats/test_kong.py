"""Every captured entry of Kong, against what its own JSON says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.model import EdgeEvent, GatewayRecord

Parse = Callable[[bytes], Any]


def entry_of(case: str, kong_bodies: Callable[[Path], list[bytes]], captures: Path) -> bytes:
    return kong_bodies(captures / "kong" / f"{case}.jsonl")[0]


def is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def test_no_captured_entry_is_dead(kong_entries: list[Any], parse_kong: Parse) -> None:
    records = [parse_kong(entry.body) for entry in kong_entries]
    assert Counter(type(record).__name__ for record in records) == {"GatewayRecord": 1930, "EdgeEvent": 1}
    flags = Counter(name for record in records if isinstance(record, GatewayRecord) for name in record.flags)
    assert flags == {flag.ID_LIST: 48, flag.NOT_UTF8: 2}


def test_entries_say_what_their_fields_say(kong_entries: list[Any], parse_kong: Parse) -> None:
    """Each field of each record is where kong.md says that Kong puts it."""
    for entry in kong_entries:
        said = json.loads(entry.body.decode(errors="backslashreplace").replace("\\x", "\\\\x"))
        record = parse_kong(entry.body)
        if "request" not in said:
            continue
        request, response, latencies = said["request"], said["response"], said["latencies"]
        assert record.gateway_request_id == (
            request.get("id") or response["headers"].get("x-kong-request-id")
        )
        assert record.started_us == said["started_at"] * 1000
        assert record.correlation_id == ((said.get("correlation_id") or "")[:256] or None)
        ids = request["headers"].get("x-request-id", said.get("correlation_id", ""))
        assert record.request_ids == tuple(
            text[:256] for text in (ids if isinstance(ids, list) else [ids]) if text
        )
        assert record.status == response.get("status")
        assert (record.method, record.source) == (request["method"], said.get("source"))
        assert (record.request_bytes, record.response_bytes) == (request["size"], response["size"])
        assert record.request_ms == latencies["request"]
        assert record.proxy_ms == (None if latencies["proxy"] < 0 else latencies["proxy"])
        assert record.client_ip == said["client_ip"]
        assert record.host == first(request["headers"].get("host"))
        assert record.user_agent == (first(request["headers"].get("user-agent")) or None)
        consumer = said.get("consumer", {})
        assert (record.consumer_id, record.consumer_name, record.custom_id) == tuple(
            consumer.get(name) for name in ("id", "username", "custom_id")
        )
        assert record.credential_id == said.get("authenticated_entity", {}).get("id")
        assert record.anonymous is ("consumer" in said and "authenticated_entity" not in said)
        assert (record.service_id, record.route_id) == (
            said.get("service", {}).get("id"),
            said.get("route", {}).get("id"),
        )
        assert record.workspace == (said.get("workspace_name") or said.get("workspace"))
        status = str(said.get("upstream_status", ""))
        assert record.upstream_status == tuple(status.split(", ") if status else ())
        tries = said.get("tries") or []
        assert [(one.ip, one.port, one.state, one.code) for one in record.tries] == [
            (one.get("ip"), one.get("port"), one.get("state"), one.get("code")) for one in tries
        ]
        trace = said.get("trace_id", {})
        assert record.trace_id == (trace.get("w3c") or trace.get("b3", "").zfill(32) if trace else None)
        assert record.node == "192.0.2.2"


def test_paths_are_those_the_client_asked_for(kong_entries: list[Any], parse_kong: Parse) -> None:
    for entry in kong_entries:
        record = parse_kong(entry.body)
        if isinstance(record, EdgeEvent) or not is_text(entry.body):
            continue
        uri = json.loads(entry.body)["request"]["uri"]
        path = uri.partition("#")[0].partition("?")[0]
        if path.startswith("http://"):
            path = "/" + path.split("/", 3)[3]
        assert record.path == (path or None)


CASES = {
    "key_ok": {"consumer_name": "alice", "anonymous": False, "source": "upstream"},
    "key_only_custom_id": {"consumer_name": None, "custom_id": "only-custom"},
    "anon_ok": {"anonymous": True, "consumer_name": "anonymous", "credential_id": None},
    "jwt_missing_401": {"status": 401, "source": "kong", "consumer_id": None, "tries": (), "proxy_ms": None},
    "abort_499_direct": {"status": 499, "upstream_status": ("-",), "source": "upstream"},
    "buffered_200": {"status": 200, "upstream_status": ("200",)},
}


@pytest.mark.parametrize("case", CASES)
def test_known_cases_give_what_was_seen(
    case: str, captures: Path, kong_bodies: Callable[[Path], list[bytes]], parse_kong: Parse
) -> None:
    record = parse_kong(entry_of(case, kong_bodies, captures))
    assert {name: getattr(record, name) for name in CASES[case]} == CASES[case]


def test_a_spoofed_id_stands_beside_ours(
    captures: Path, kong_bodies: Callable[[Path], list[bytes]], parse_kong: Parse
) -> None:
    record = parse_kong(entry_of("client_xreqid_haproxy", kong_bodies, captures))
    assert len(record.request_ids) == 2
    assert record.correlation_id == record.request_ids[0]
    assert record.flags == (flag.ID_LIST,)


def test_a_stream_session_is_an_event(
    captures: Path, kong_bodies: Callable[[Path], list[bytes]], parse_kong: Parse
) -> None:
    event = parse_kong(entry_of("tcp_stream", kong_bodies, captures))
    assert (event.kind, event.node) == ("stream_session", "192.0.2.2")
    assert '"received"' in event.text


def test_retries_of_the_edge_share_their_id_and_differ_in_kongs(
    captures: Path, kong_bodies: Callable[[Path], list[bytes]], parse_kong: Parse
) -> None:
    bodies = kong_bodies(captures / "kong" / "hap_retry_502x3_same_id.jsonl")
    records = [parse_kong(body) for body in bodies]
    assert len(records) == 3
    assert len({record.request_ids for record in records}) == 1
    assert len({record.attempt_id for record in records}) == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"[]", "not_an_object"),
        (b"{}", "not_an_entry"),
        (b'{"request":{}}', "no_date"),
        (b'{"request":{},"started_at":"x"}', "no_date"),
        (b'{"request":{},"started_at":NaN}', "no_date"),
        (b'{"a":' * 100_000, "too_deep"),
        (b"nonsense", "not_json"),
    ],
)
def test_what_is_no_entry_says_why(body: bytes, reason: str, parse_kong: Parse) -> None:
    with pytest.raises(MalformedLine) as caught:
        parse_kong(body)
    assert caught.value.reason == reason
