"""From the values of any format to an edge record."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from pipeline.errors import MalformedLine
from pipeline.formats import edge
from pipeline.formats import flags as flag
from pipeline.formats.edge import EdgeBuilder
from pipeline.formats.envelope import Envelope
from pipeline.formats.redact import Redactor
from pipeline.formats.times import Dates
from pipeline.model import EdgeRecord

NOON = 1_782_907_200_000_000  # 2026-07-01 12:00 UTC
DATE = "01/Jul/2026:12:00:00"
BARE = Envelope("", b"")


def build(
    values: dict[str, str | None], envelope: Envelope = BARE, *, arrival_ns: int = NOON * 1000
) -> EdgeRecord:
    builder = EdgeBuilder(Redactor(b"k" * 32), Dates("UTC"))
    return builder.build(values, envelope, offset=3, arrival_ns=arrival_ns, peer="192.0.2.7", flags=set())


@pytest.mark.parametrize(
    ("values", "start_us"),
    [
        ({"tr": f"{DATE}.250"}, NOON + 250_000),
        ({"trg": f"{DATE} +0000"}, NOON),
        ({"trl": f"{DATE} +0200"}, NOON - 7200 * 10**6),
        ({"t": f"{DATE}.000", "Th": "5", "Ti": "20"}, NOON + 25_000),
        ({"T": f"{DATE} +0000", "Th": "-1", "Ti": "20"}, NOON + 20_000),
        ({"Ts": "1782907200", "ms": "007"}, NOON + 7000),
        ({"Ts": "1782907200.007"}, NOON + 7000),
        ({"Ts": "1782907200"}, NOON),
        ({"acc_us": str(NOON), "Ti": "1"}, NOON + 1000),
        ({"req_us": f"t={NOON}"}, NOON),
        ({"tr": "-", "t": f"{DATE}.000"}, NOON),
    ],
)
def test_the_start_is_the_first_byte_of_the_request(values: dict[str, str | None], start_us: int) -> None:
    record = build(values)
    assert record.start_us == start_us
    assert flag.HEADER_TIME not in record.flags


@pytest.mark.parametrize("time", ["2026-07-01T12:00:01.500000+00:00", "2026-07-01T14:00:01.5+02:00"])
def test_without_a_date_the_headers_minus_the_duration_stands_for_it(time: str) -> None:
    record = build({"Ta": "1500", "ST": "200"}, Envelope("", b"", time=time))
    assert record.start_us == NOON
    assert record.flags == (flag.HEADER_TIME,)


def test_a_header_without_year_will_do() -> None:
    assert build({"ST": "200"}, Envelope("", b"", time="Jul  1 12:00:00")).start_us == NOON


def test_no_date_at_all_is_no_line_of_a_request() -> None:
    with pytest.raises(MalformedLine) as caught:
        build({"ST": "200"})
    assert caught.value.reason == "no_date"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"r": "GET /a?b HTTP/1.1"}, {"method": "GET", "path": "/a", "query": "b", "http_version": "1.1"}),
        ({"HM": "GET", "HU": "/a?b", "HV": "HTTP/2.0"}, {"method": "GET", "path": "/a", "query": "b", "http_version": "2"}),
        ({"HM": "GET", "HP": "/a", "HQ": "?b"}, {"path": "/a", "query": "b"}),
        ({"HPO": "/a", "HQ": "-"}, {"path": "/a", "query": None}),
        ({"HU": "https://u:p@h/a"}, {"scheme": "https", "host": "h", "path": "/a"}),
        ({"HU": "/#22"}, {"path": '/"'}),
        ({"r": "<BADREQ>"}, {"method": None, "path": None, "flags": (flag.BAD_REQUEST,)}),
        ({"HM": "<BADREQ>", "HU": "<BADREQ>"}, {"method": None, "path": None, "flags": (flag.BAD_REQUEST,)}),
        ({"r": "GET /cut"}, {"path": "/cut", "flags": (flag.TRUNCATED,)}),
        ({"HU": "/a\x1b["}, {"path": "/a\x1b[", "flags": (flag.CONTROL_CHARS,)}),
        ({"HU": "/" + "x" * 9000}, {"path": "/" + "x" * 8191, "flags": (flag.TRUNCATED,)}),
        ({"ci": "unix", "cp": "1"}, {"client_ip": None, "client_port": None}),
        ({"ci": "2001:db8::1", "cp": "443"}, {"client_ip": "2001:db8::1", "client_port": 443}),
        ({"s": "<NOSRV>"}, {"server": None}),
        ({"s": "<STATS>"}, {"server": "<STATS>"}),
        ({"rc": "+3"}, {"retries": 3, "redispatched": True}),
        ({"ft": "fe~"}, {"frontend": "fe", "scheme": "https"}),
        ({"f": "fe", "sslv": "TLSv1.3"}, {"frontend": "fe", "scheme": "https", "tls_version": "TLSv1.3"}),
        ({"f": "fe", "sslv": "-"}, {"scheme": "http", "tls_version": None}),
        ({"ST": "0"}, {"status": None}),
        ({"ST": "-1"}, {"status": None}),
        ({"Ta": "+9", "B": "+80"}, {"response_bytes": 80, "flags": (flag.LOG_ASAP,)}),
        ({"tsc": "----"}, {"termination": "----"}),
        ({"cert_used": "0", "client_verify": "0"}, {"tls_client_verify": None}),
        ({"cert_used": "1", "client_verify": "0"}, {"tls_client_verify": "0"}),
        ({"ID": "-"}, {"request_id": ""}),
        ({"pid": "99999999999"}, {"pid": None}),
        ({}, {"node": "192.0.2.7"}),
    ],
)  # fmt: skip
def test_values_mean_what_the_manual_says(values: dict[str, str | None], expected: dict[str, Any]) -> None:
    record = build({"tr": f"{DATE}.000", **values})
    assert {name: getattr(record, name) for name in expected} == expected


def test_identity_is_of_what_was_logged_and_not_of_the_envelope() -> None:
    values = {"tr": f"{DATE}.000", "ci": "192.0.2.1", "cp": "1", "ID": "a"}
    bare, wrapped = (
        build(values),
        build(values, Envelope("", b"", node="h", pid=7, time="2026-07-01T12:00:00+00:00")),
    )
    assert bare.rec_id == wrapped.rec_id
    assert (wrapped.node, wrapped.pid) == ("h", 7)
    assert build({**values, "cp": "2"}).rec_id != bare.rec_id


def test_arguments_stand_in_the_order_of_the_fields(
    names_by_position: Callable[[ModuleType, str], list[str]],
) -> None:
    assert names_by_position(edge, "EdgeRecord") == list(EdgeRecord.__struct_fields__)
