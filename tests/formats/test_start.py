"""The start that is peeked at is that of the record, for every captured line and entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.start import peek_haproxy_start_us, peek_kong_start_us
from pipeline.formats.times import Dates
from pipeline.model import EdgeRecord, GatewayRecord

SECOND_US = 1_000_000


def test_lines_and_entries_begin_when_they_seem_to(
    haproxy: HaproxyParser,
    kong: KongParser,
    haproxy_lines: Callable[[str], list[Any]],
    kong_entries: list[Any],
) -> None:
    dates = Dates("UTC")
    for line in haproxy_lines("rfc5424-udp"):
        record = haproxy.parse(line.body, offset=1, arrival_ns=0, peer="")
        peeked = peek_haproxy_start_us(line.body, dates)
        if isinstance(record, EdgeRecord):
            assert peeked is not None
            assert abs(peeked - record.start_us) < 2 * SECOND_US
    for entry in kong_entries:
        record = kong.parse(entry.body, offset=1, arrival_ns=0, peer="")
        if isinstance(record, GatewayRecord):
            assert peek_kong_start_us(entry.body) == record.started_us


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"acc_us":"1795458940099344"}', 1_795_458_940_099_344),
        (b'{"acc":"1795458940.099"}', 1_795_458_940_000_000),
        (b"x 23/Nov/2026:18:35:39 +0100 y", 1_795_455_339_000_000),
        (b"nothing", None),
        (b"99/Nov/2026:18:35:39.000", None),
    ],
)
def test_what_shows_no_start_is_none(body: bytes, expected: int | None) -> None:
    assert peek_haproxy_start_us(body, Dates("UTC")) == expected


def test_a_client_cannot_write_kongs_start() -> None:
    body = (
        b'{"request":{"headers":{"user-agent":"\\"started_at\\":1111111111111"}},"started_at": 1795460245226}'
    )
    assert peek_kong_start_us(body) == 1_795_460_245_226_000
    assert peek_kong_start_us(b"{}") is None
