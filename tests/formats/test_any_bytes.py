"""Whatever comes: it is a record, an event or malformed; in bounded time and memory, and it costs no neighbour."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import MalformedLine
from pipeline.formats.dead_letter import to_dead_letter
from pipeline.formats.framing import StreamFramer
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.line_formats import LineFormat
from pipeline.formats.log_format import compile_format
from pipeline.formats.redact import Redactor
from pipeline.model import EdgeEvent, EdgeRecord, GatewayRecord, Source

REDACTOR = Redactor(b"k" * 32)
FORMATS = [
    "%{+Q}o %ci %[capture.req.hdr(0)] %CC %hr %hrl %ST %tr",
    '{"a":"%[capture.req.hdr(0)]","b":{"c":"%r","d":"%ci:%cp"},"t":"%Ts.%ms","st":%ST}',
    "%{+json}o %(a)ci %(t)tr %(r)r %(s)ST",
    "%{+Q,+E}o [x uid=%ID a=%[var(txn.a)]] %ST %tr",
    "%CC|%CS|%[var(txn.a)]|%tr %ST",
]
HAPROXY = HaproxyParser(redactor=REDACTOR, formats=[LineFormat(compile_format(text)) for text in FORMATS])
KONG = KongParser(redactor=REDACTOR)
Parser = HaproxyParser | KongParser

pieces = st.sampled_from(
    [
        b"<134>", b"1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - - ", b"Nov 23 18:35:39 h haproxy[7]: ", b'[x a="',
        b"127.0.0.1:1 [23/Nov/2026:18:35:39.609] fe~ be/s1 0/0/3/-1/+24 200 85 - - ---- 1/1/0/0/+1 0/0 {a|b} ",
        b'"GET /a?b=#22 HTTP/1.1"', b'{"v":"hap-req/1","id":"', b'","acc":"1795458940.099","node":"', b'"}', b"\\u00", b"\xff",
        b'{"request":{"headers":{"x-request-id":["', b'"],"host":', b'"started_at":1795460245226,', b"NaN", b"1e999", b"-1",
        b'"tries":[{"ip":', b"null", b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"\x00", b" ", b"9" * 30, b"eyJ",
        b"\xed\xa0\x80", b"events dropped", b"Server be/s is DOWN", b"/", b"|", b"-", b"t=1",
    ]
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=300), st.lists(pieces | st.binary(max_size=6), max_size=25).map(b"".join)
)


def outcome(parser: Parser, body: bytes) -> EdgeRecord | GatewayRecord | EdgeEvent | MalformedLine:
    try:
        return parser.parse(body, offset=3, arrival_ns=1_795_460_245_226_000_000, peer="p")
    except MalformedLine as error:
        return error


@settings(max_examples=1500, deadline=None)
@given(bodies)
def test_any_bytes_are_a_record_an_event_or_malformed(body: bytes) -> None:
    for parser, source in ((HAPROXY, Source.HAPROXY), (KONG, Source.KONG)):
        found = outcome(parser, body)
        if isinstance(found, MalformedLine):
            letter = to_dead_letter(
                body, offset=3, source=source, arrival_ns=1, peer="p", error=found, redactor=REDACTOR
            )
            assert letter.reason.replace("_", "").isalpha()
            letter.body.encode()
            letter.detail.encode()
        else:
            assert found.offset == 3
            json.dumps(f"{found}").encode()  # text without surrogates


@settings(max_examples=800, deadline=None)
@given(bodies)
def test_the_same_bytes_are_the_same_record(body: bytes) -> None:
    for parser in (HAPROXY, KONG):
        one, again = outcome(parser, body), outcome(parser, body)
        assert one == again or (isinstance(one, MalformedLine) and f"{one}" == f"{again}")


@settings(max_examples=500, deadline=None)
@given(st.lists(bodies, max_size=4))
def test_any_body_splits_or_is_malformed_and_entries_are_its_own_bytes(parts: list[bytes]) -> None:
    for body in (b"\n".join(parts), b"[" + b",".join(parts) + b"]", b"".join(parts)):
        try:
            entries = split_body(body)
        except MalformedLine as error:
            assert error.reason == "not_splittable"
            continue
        position = 0
        for entry in entries:
            position = body.index(entry, position) + len(entry)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(1, 40), max_size=40))
def test_a_stream_is_framed_alike_however_it_comes(stream: bytes, sizes: list[int]) -> None:
    whole = StreamFramer(max_frame=64)
    expected = whole.feed(stream) + whole.close()
    for steps in ([1] * len(stream), sizes):
        framer, frames, position = StreamFramer(max_frame=64), [], 0
        for size in steps:
            frames += framer.feed(stream[position : position + size])
            position += size
        frames += framer.feed(stream[position:]) + framer.close()
        assert frames == expected


MEGABYTE = 1 << 20


STARTED = b'"started_at":1795460245226'
HUGE: dict[str, Callable[[], bytes]] = {
    "a long field": lambda: b'{"request":{"uri":"/%s"},%s}' % (b"x" * 10 * MEGABYTE, STARTED),
    "escapes": lambda: b'{"request":{"uri":"/%s"},%s}' % (b"\\n" * 5 * MEGABYTE, STARTED),
    "odd bytes": lambda: b'{"request":{"uri":"/%s"},%s}' % (b"\xff" * 10 * MEGABYTE, STARTED),
    "surrogates": lambda: b'{"request":{"uri":"/%s"},%s}' % (b"\\ud800" * MEGABYTE, STARTED),
    "a number": lambda: b'{"request":{"size":%s},%s}' % (b"9" * 10 * MEGABYTE, STARTED),
    "a fraction": lambda: b'{"request":{"size":0.%s},%s}' % (b"9" * 10 * MEGABYTE, STARTED),
    "depth": lambda: b'{"request":%s%s,%s}' % (b'{"a":' * 100_000, b"1" + b"}" * 100_000, STARTED),
    "brackets": lambda: b"[" * MEGABYTE,
    "duplicate keys": lambda: b'{"request":{%s"uri":"/"},%s}' % (b'"id":"a",' * MEGABYTE, STARTED),
    "many headers": lambda: (
        b'{"request":{"headers":{%s"host":"h"}},%s}' % (b'"x-request-id":["a"],' * 400_000, STARTED)
    ),
    "a long list": lambda: (
        b'{"request":{"headers":{"x-request-id":[%s"a"]}},%s}' % (b'"a",' * MEGABYTE, STARTED)
    ),
    "an open string": lambda: b'{"request":{"uri":"' + b"x" * 10 * MEGABYTE,
    "quotes": lambda: b'{"request":' + b'"' * 10 * MEGABYTE,
    "backslashes": lambda: b'{"request":"' + b"\\" * (10 * MEGABYTE + 1),
    "newlines": lambda: b"{" + b"\n" * 10 * MEGABYTE,
    "commas": lambda: b"[" + b",\n" * 5 * MEGABYTE,
    "starts": lambda: b"[" + b',{"a' * MEGABYTE,
    "spaces": lambda: b"{" + b" " * 10 * MEGABYTE + b'"a',
}


HEAD = b"127.0.0.1:1 [23/Nov/2026:18:35:39.609] fe be/s 0/0/0/0/7 200 85 "
STATE = b" ---- 1/1/0/0/2 0/0 "
ATTACKS: dict[str, bytes] = {
    "cookies like states": HEAD + STATE * 3000,
    "braces": HEAD + b"- - ---- 1/1/0/0/2 0/0 " + b"{" * 60_000,
    "quotes": HEAD + b"- - ---- 1/1/0/0/2 0/0 " + b'"' * 60_000,
    "spaces": HEAD + b" " * 60_000,
    "spaces behind": HEAD + b'- - ---- 1/1/0/0/2 0/0 "GET / HTTP/1.1"' + b" " * 60_000 + b"{",
    "digits": b"1" * 60_000 + b":",
    "dates": b"127.0.0.1:1 [" + b"23/Nov/2026:18:35:39.609" * 2500,
    "headers": b"<134>1 " + b"- " * 30_000,
    "structured data": b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - [" + b'a="\\"' * 12_000,
    "brackets": b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - " + b"[]" * 30_000,
    "tags": b"<134>Nov 23 18:35:39 " + b"a:" * 30_000,
    "bars": b"|" * 60_000,
    "free values": b"a|b|c|" * 10_000 + b"23/Nov/2026:18:35:39.609 200x",
    "JSON": b'{"v":"hap-req/1","id":"a","acc":"' + b'","acc":"' * 6000,
    "escapes": b'{"v":"hap-req/1","id":"' + b"\\u0041" * 10_000,
    "nested": b'{"v":"hap-req/1","id":' + b"[" * 60_000,
    "tokens": HEAD + b'- - ---- 1/1/0/0/2 0/0 "GET /?' + b"eyJ" * 20_000 + b' HTTP/1.1"',
    "bearers": HEAD + b'- - ---- 1/1/0/0/2 0/0 "GET /?' + b"bearer+" * 8000 + b' HTTP/1.1"',
    "matrix": HEAD + b'- - ---- 1/1/0/0/2 0/0 "GET /' + b";a=" * 20_000 + b' HTTP/1.1"',
    "percents": HEAD + b'- - ---- 1/1/0/0/2 0/0 "GET /?a=' + b"%25" * 20_000 + b'%3D HTTP/1.1"',
    "hashes": HEAD + b'- - ---- 1/1/0/0/2 0/0 "GET /' + b"#22" * 20_000 + b' HTTP/1.1"',
    "words": b"<134>Nov 23 18:35:39 h haproxy[7]: " + b"word " * 12_000,
    "names": b"<134>Nov 23 18:35:39 h haproxy[7]: " + b"a-" * 30_000,
    "pairs": b"<134>Nov 23 18:35:39 h haproxy[7]: " + b"a=" * 30_000,
}


def handled(parser: Parser, body: bytes, source: Source) -> None:
    found = outcome(parser, body)
    if isinstance(found, MalformedLine):
        to_dead_letter(body, offset=1, source=source, arrival_ns=1, peer="", error=found, redactor=REDACTOR)


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_line_takes_long(attack: str) -> None:
    body = ATTACKS[attack][:65_535]
    start = time.process_time()
    handled(HAPROXY, body, Source.HAPROXY)
    assert time.process_time() - start < 1.0  # measured: below 0.1; a quadratic one takes minutes


@pytest.mark.parametrize("attack", HUGE)
def test_no_entry_takes_long_or_grows(attack: str) -> None:
    body = HUGE[attack]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    for act in (
        lambda: split_body(body),
        lambda: split_body(b"[" + body + b"]"),
        lambda: handled(KONG, body, Source.KONG),
    ):
        try:
            act()
        except MalformedLine as error:
            assert error.reason == "not_splittable"
    assert time.process_time() - start < 20.0  # measured: below 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000  # KiB


def test_captured_streams_are_framed_alike_in_any_pieces(captures: Path) -> None:
    for name, framing in (("rfc5424-tcp-octet", b""), ("rfc3164-tcp-legacy", b"\n")):
        stream = (captures / "haproxy" / f"{name}.bin").read_bytes()
        whole = StreamFramer().feed(stream)
        assert len(whole) == 268
        assert not any(frame.endswith(b"\n") for frame in whole) or not framing
        for step in (1, 7, 1461):
            framer, frames = StreamFramer(), []
            for position in range(0, len(stream), step):
                frames += framer.feed(stream[position : position + step])
            assert frames + framer.close() == whole
