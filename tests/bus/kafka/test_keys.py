"""Which partition a record belongs to."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.keys import Keyer, key_of, key_of_record, partition_of
from pipeline.errors import MalformedLine
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Redactor
from pipeline.formats.sealed import Sealer
from pipeline.model import EdgeEvent, Source

CORPUS = Path(__file__).parents[2] / "captures" / "kong" / "corpus"
REDACTOR = Redactor(b"a key for tests, sixteen or more")
LINES = HaproxyParser(redactor=REDACTOR)
ENTRIES = KongParser(redactor=REDACTOR)
ID = "0197a1c2-7f00-7abc-8def-0123456789ab"
KONG_ID = "6c9d1f0a7f7c4a5e9a0d4c0d6c3f2b1a"


@pytest.fixture
def keyer() -> Keyer:
    return Keyer(LINES, REDACTOR)


def entry(header: object, gateway_id: str = KONG_ID, **more: object) -> bytes:
    request = {"id": gateway_id, "headers": {"x-request-id": header} if header is not None else {}}
    return json.dumps({"request": request, "started_at": 1_700_000_000_000, **more}).encode()


def line(request_id: str, gateway_id: str = KONG_ID) -> bytes:
    fields = {"v": "hap-req/1", "id": request_id, "kong_rid": gateway_id, "acc_us": 1_700_000_000_000_000}
    return (
        b"<134>1 2026-01-01T00:00:00Z edge haproxy 7 - - "
        + json.dumps(fields, separators=(",", ":")).encode()
    )


def corpus() -> tuple[list[bytes], list[bytes]]:
    lines = (CORPUS / "haproxy.log").read_bytes().splitlines()
    entries = []
    for text in (CORPUS / "kong.jsonl").read_text(encoding="utf-8").splitlines():
        capture = json.loads(text)
        encoded = capture.get("body_b64")
        entries.append(base64.b64decode(encoded) if encoded else capture["body"].encode())
    return lines, entries


def read_key(source: Source, body: bytes) -> bytes:
    try:
        record = (LINES if source is Source.HAPROXY else ENTRIES).parse(body, offset=0, arrival_ns=0, peer="")
    except MalformedLine:
        return b""
    return b"" if isinstance(record, EdgeEvent) else key_of_record(record)


def test_captured_records_have_the_key_that_the_parsers_would_give_and_their_sealed_forms_too(
    keyer: Keyer,
) -> None:
    lines, entries = corpus()
    sealer = Sealer(LINES, ENTRIES, REDACTOR)
    for source, bodies in ((Source.HAPROXY, lines), (Source.KONG, entries)):
        for body in bodies:
            key = keyer.key(source, body)
            assert key == read_key(source, body)
            assert keyer.key(source, sealer.seal(source, body, arrival_ns=0, peer="")) == key


def test_halves_of_captured_requests_meet_in_one_partition(keyer: Keyer) -> None:
    lines, entries = corpus()
    edge = {keyer.key(Source.HAPROXY, body) for body in lines}
    gateway = [keyer.key(Source.KONG, body) for body in entries]
    assert len(edge) > 1400
    assert sum(key in edge for key in gateway) > 0.98 * len(gateway)


@pytest.mark.parametrize(
    ("header", "is_key"),
    [
        (ID, True),
        ([ID], True),
        (["chosen-by-a-client", ID], True),
        ([ID, ""], True),
        (None, False),
        ("", False),
        ([], False),
        ("-", False),
        ("0000000000000000", False),
        ("short", False),
        ("abcdefgh" * 100, False),
        (["chosen-by-a-client", "abcdefgh" * 32], False),
    ],
)
def test_the_last_request_id_is_the_key_and_what_is_none_gives_way_to_the_gateway_id(
    keyer: Keyer, header: object, is_key: bool
) -> None:
    expected = b"a" + ID.encode() if is_key else b"b" + KONG_ID.encode()
    assert keyer.key(Source.KONG, entry(header)) == expected
    assert read_key(Source.KONG, entry(header)) == expected
    if header is None or isinstance(header, str):
        assert keyer.key(Source.HAPROXY, line(header or "-")) == expected
        assert read_key(Source.HAPROXY, line(header or "-")) == expected


def test_the_correlation_id_stands_in_for_the_header(keyer: Keyer) -> None:
    assert keyer.key(Source.KONG, entry(None, correlation_id=ID)) == b"a" + ID.encode()


def test_a_request_id_is_never_the_key_of_a_gateway_id() -> None:
    assert key_of((KONG_ID,), None) != key_of((), KONG_ID)


@given(st.sampled_from(Source), st.binary(max_size=400), st.integers(1, 64))
def test_any_bytes_have_a_partition_and_always_the_same(source: Source, body: bytes, partitions: int) -> None:
    one, other = Keyer(LINES, REDACTOR), Keyer(HaproxyParser(redactor=REDACTOR), REDACTOR)
    partition = one.partition(source, body, partitions)
    assert 0 <= partition < partitions
    assert other.partition(source, body, partitions) == partition


@given(st.text(max_size=300), st.text(max_size=300))
def test_both_halves_of_any_pair_of_ids_have_one_key(request_id: str, gateway_id: str) -> None:
    keyer = Keyer(LINES, REDACTOR)
    edge, gateway = line(request_id, gateway_id), entry(request_id, gateway_id or KONG_ID)
    if keyer.key(Source.HAPROXY, edge).startswith(b"a"):
        assert keyer.key(Source.HAPROXY, edge) == keyer.key(Source.KONG, gateway)
    assert keyer.key(Source.HAPROXY, edge) == read_key(Source.HAPROXY, edge)
    assert keyer.key(Source.KONG, gateway) == read_key(Source.KONG, gateway)


def test_a_clients_text_in_a_text_line_does_not_choose_the_key(keyer: Keyer) -> None:
    """A line of another format that ends in what looks like ours is keyed as it is read."""
    forged = (
        b"<134>Nov 23 18:35:39 haproxy[7]: 192.0.2.1:5000 [23/Nov/2026:18:35:39.000] fe be/s 0/0/1/2/3 200 5 - - "
        b'---- 1/1/0/0/0 0/0 {agent} "GET / HTTP/1.1" {"v":"hap-req/1","id":"%b"}' % ID.encode()
    )
    assert keyer.key(Source.HAPROXY, forged) == read_key(Source.HAPROXY, forged)


def test_keys_spread_evenly() -> None:
    counts = [0] * 12
    for number in range(12_000):
        counts[partition_of(b"a%d-0197a1c2-7f00" % number, 12)] += 1
    assert min(counts) > 800
    assert max(counts) < 1200
