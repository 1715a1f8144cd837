"""What a decoded recommended line becomes, whatever stands in it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats import haproxy_json_record
from pipeline.formats.haproxy_json_record import JsonRecords
from pipeline.formats.haproxy_line import ERROR, REQUEST, Line, decode_line
from pipeline.formats.redact import Policy, Redactor
from pipeline.formats.text import joined_hash
from pipeline.model import EdgeRecord

LINE = {
    "v": REQUEST, "id": "33df4ccb-fc3a-4fcb-be9d-64c13e45f29c", "pid": 7, "rt": 3, "node": "edge-1",
    "acc": "1795460243.518", "ci": "203.0.113.7", "cp": 50_000, "path": "/orders/1",
}  # fmt: skip


def build(flags: list[str] | None = None, redactor: Redactor | None = None, **changes: Any) -> EdgeRecord:
    line = decode_line(msgspec.json.encode({**LINE, **changes}))
    return JsonRecords(redactor or Redactor(b"k" * 32)).build(line, "192.0.2.1", 5, flags)


def test_arguments_stand_in_the_order_of_the_fields(
    names_by_position: Callable[[ModuleType, str], list[str]],
) -> None:
    assert names_by_position(haproxy_json_record, "EdgeRecord") == list(EdgeRecord.__struct_fields__)


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("kong_rid", "gateway_request_id"), ("tp", "traceparent"), ("fe", "frontend"), ("be", "backend"), ("srv", "server"),
        ("si", "server_ip"), ("sp", "server_port"), ("m", "method"), ("host", "host"), ("q", "query"), ("ua", "user_agent"),
        ("tls", "tls_version"), ("cph", "tls_cipher"), ("sni", "tls_sni"), ("dn", "tls_client_dn"), ("ci", "client_ip"),
        ("c_rid", "claimed_request_id"), ("c_tp", "claimed_traceparent"), ("pool", "pool"), ("ferr", "error"), ("ferrs", "error"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("nothing", ["", "-"])
def test_what_haproxy_writes_for_nothing_is_unknown(key: str, field: str, nothing: str) -> None:
    assert getattr(build(**{key: nothing}), field) is None


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [("srv", "<NOSRV>", "server"), ("m", "<BADREQ>", "method"), ("ci", "unix", "client_ip"), ("sp", "70000", "server_port"),
     ("cp", 70_000, "client_port"), ("st", 0, "status"), ("st", -1, "status"), ("ferr", "0", "error")],
)  # fmt: skip
def test_what_stands_for_none_of_its_kind_is_unknown(key: str, value: Any, field: str) -> None:
    assert getattr(build(**{key: value}), field) is None


@pytest.mark.parametrize(
    ("changes", "retries", "redispatched"),
    [
        ({"rc": "0"}, 0, False), ({"rc": "2"}, 2, False), ({"rc": "+1"}, 1, True), ({"rc": "1", "rdsp": "1"}, 1, True),
        ({"rc": "0", "rdsp": "true"}, 0, True), ({"rc": "0", "rdsp": "0"}, 0, False), ({"rc": "-"}, 0, False), ({}, 0, False),
    ],
)  # fmt: skip
def test_retries_are_counted_and_a_redispatch_is_told(
    changes: dict[str, str], retries: int, redispatched: bool
) -> None:
    record = build(**changes)
    assert (record.retries, record.redispatched) == (retries, redispatched)


def test_the_start_is_the_accept_date_and_what_the_client_took() -> None:
    assert build().start_us == 1_795_460_243_518_000
    assert build(Th=2, Ti=30).start_us == 1_795_460_243_550_000
    assert build(Th=-1, Ti=30).start_us == 1_795_460_243_548_000
    assert build(acc="", acc_us="1795460243518123").start_us == 1_795_460_243_518_123


@pytest.mark.parametrize(
    "accept", ["", "-", "1795460243,518", "17954602435180", "1795460243.5.8", "179546024\u0663.518"]
)
def test_a_line_without_a_date_is_refused(accept: str) -> None:
    with pytest.raises(MalformedLine) as caught:
        build(acc=accept)
    assert caught.value.reason == "no_date"


def test_ids_and_methods_are_cut_where_they_are_endless() -> None:
    record = build(id="i" * 300, kong_rid="k" * 300, tp="t" * 300, m="M" * 300)
    assert (len(record.request_id), len(record.gateway_request_id or ""), len(record.traceparent or "")) == (
        256,
        256,
        256,
    )
    assert record.method == "M" * 64


def test_a_record_is_named_after_its_raw_fields_and_nothing_else() -> None:
    name = (
        "33df4ccb-fc3a-4fcb-be9d-64c13e45f29c\x1fedge-1\x1f7\x1f3\x1f1795460243.518\x1f203.0.113.7\x1f50000"
    )
    assert build().rec_id == joined_hash(name) == build(st=503, Th=5, ua="other", B="9").rec_id
    others = [
        build(**{key: value}).rec_id
        for key, value in (("id", "x"), ("rt", 4), ("acc", "1795460243.519"), ("cp", 50_001))
    ]
    assert len({build().rec_id, *others}) == 5


def test_flags_are_those_raised_and_those_that_the_fields_raise() -> None:
    assert build(flags=None).flags == ()
    assert build(flags=[], ua="a\x07b").flags == (flag.CONTROL_CHARS,)
    assert build(flags=[flag.TRUNCATED], path="/\x7f").flags == (flag.CONTROL_CHARS, flag.TRUNCATED)
    assert build(flags=[], v=ERROR).flags == (flag.BAD_REQUEST,)


def test_users_and_addresses_get_pseudonyms_where_that_is_wanted() -> None:
    redactor = Redactor(b"k" * 32, Policy(pseudonyms=frozenset({"user", "client_ip"})))
    record = build(redactor=redactor, dn="CN=alice", cc="1", cv="0")
    assert record.tls_client_dn == redactor.user("CN=alice") != "CN=alice"
    assert record.client_ip == redactor.address("203.0.113.7") != "203.0.113.7"


def test_ports_that_are_made_up_do_not_fill_the_memory() -> None:
    records, redactor = JsonRecords(Redactor(b"k" * 32)), Line(v=REQUEST, acc="1795460243.518")
    for number in range(3000):
        redactor.sp = f"p{number}"
        assert records.build(redactor, "", 1, None).server_port is None
    assert len(records._ports) <= 1024


texts = st.text(max_size=40)


@given(st.fixed_dictionaries({}, optional={field.encode_name: texts for field in msgspec.structs.fields(Line) if field.type in (str, str | None) and field.name not in ("v", "acc")}))  # fmt: skip
def test_any_texts_make_a_record_that_msgspec_takes_for_one(changes: dict[str, str]) -> None:
    record = build(flags=[], **changes)
    assert msgspec.convert(msgspec.to_builtins(record), EdgeRecord) == record
