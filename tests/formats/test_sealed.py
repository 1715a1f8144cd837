"""What was redacted before the bus reads back as the same record, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pipeline.errors import MalformedLine
from pipeline.formats.dead_letter import to_dead_letter
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Policy, Redactor
from pipeline.formats.sealed import SealedLetter, Sealer, Unsealer
from pipeline.model import EdgeEvent, Source

NOW_NS = 1_795_460_000_000_000_000


@pytest.fixture
def sealer(haproxy: HaproxyParser, kong: KongParser, redactor: Redactor) -> Sealer:
    return Sealer(haproxy, kong, redactor)


def test_every_captured_record_comes_back_the_same(
    sealer: Sealer,
    haproxy: HaproxyParser,
    kong: KongParser,
    haproxy_lines: Callable[[str], list[Any]],
    kong_entries: list[Any],
) -> None:
    for source, parser, bodies in (
        (Source.HAPROXY, haproxy, [line.body for line in haproxy_lines("rfc5424-udp")]),
        (Source.KONG, kong, [entry.body for entry in kong_entries]),
    ):
        for body in bodies:
            sealed = sealer.seal(source, body, arrival_ns=NOW_NS, peer="192.0.2.1")
            assert sealer.seal(source, sealed, arrival_ns=1, peer="other") == sealed
            expected = parser.parse(body, offset=9, arrival_ns=NOW_NS + 1, peer="192.0.2.1")
            record = Unsealer(parser).parse(sealed, offset=9, arrival_ns=NOW_NS + 1, peer="192.0.2.7")
            if isinstance(record, EdgeEvent) and isinstance(expected, EdgeEvent):
                expected = msgspec.structs.replace(expected, time_us=record.time_us)
            assert record == expected


def test_a_dead_record_stays_dead_with_the_letter_that_was_written(
    sealer: Sealer, haproxy: HaproxyParser, redactor: Redactor
) -> None:
    body = b"token=S3cr3tValue nonsense"
    sealed = sealer.seal(Source.HAPROXY, body, arrival_ns=NOW_NS, peer="192.0.2.1")
    assert b"S3cr3t" not in sealed
    with pytest.raises(SealedLetter) as caught:
        Unsealer(haproxy).parse(sealed, offset=9, arrival_ns=NOW_NS + 5, peer="")
    letter = to_dead_letter(
        sealed, offset=0, source=Source.KONG, arrival_ns=0, peer="", error=caught.value, redactor=redactor
    )
    assert (letter.offset, letter.source, letter.peer) == (9, Source.HAPROXY, "192.0.2.1")
    assert (letter.fingerprint, letter.size) == (redactor.fingerprint(body), len(body))
    assert letter.detail.startswith("not_a_log_line: ")


def test_an_unsealed_record_is_left_to_the_parser(
    haproxy: HaproxyParser, haproxy_lines: Callable[[str], list[Any]]
) -> None:
    line = haproxy_lines("raw-udp")[5].body
    assert Unsealer(haproxy).parse(line, offset=1, arrival_ns=0, peer="") == haproxy.parse(
        line, offset=1, arrival_ns=0, peer=""
    )


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"hoptrail":1,',
        b'{"hoptrail":1,"edge":[1]}',
        b'{"hoptrail":1,"edge":null}',
        b'{"hoptrail":1,"dead":"x"}',
    ],
)
def test_a_damaged_seal_is_malformed(damaged: bytes, haproxy: HaproxyParser) -> None:
    with pytest.raises(MalformedLine, match="sealed record"):
        Unsealer(haproxy).parse(damaged, offset=1, arrival_ns=0, peer="")


def test_without_an_unsealer_no_client_can_write_a_sealed_record(
    haproxy: HaproxyParser, kong: KongParser
) -> None:
    for parser in (haproxy, kong):
        with pytest.raises(MalformedLine):
            parser.parse(b'{"hoptrail":1,"event":{"offset":1}}', offset=1, arrival_ns=0, peer="")


def test_pseudonyms_are_on_the_bus_already() -> None:
    redactor = Redactor(b"k" * 32, Policy(pseudonyms=frozenset({"user", "client_ip"})))
    sealer = Sealer(HaproxyParser(redactor=redactor), KongParser(redactor=redactor), redactor)
    body = b'{"request":{"id":"a"},"consumer":{"username":"alice"},"client_ip":"198.51.100.7","started_at":1795460245226}'
    sealed = sealer.seal(Source.KONG, body, arrival_ns=NOW_NS, peer="")
    assert b"alice" not in sealed
    assert b"198.51.100.7" not in sealed
