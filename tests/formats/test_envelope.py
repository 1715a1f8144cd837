"""The eight formats of HAProxy's `log` line, and what rsyslog writes into files."""

from __future__ import annotations

import pytest

from pipeline.formats.envelope import is_header, unwrap

MESSAGE = b'127.0.0.1:43424 [23/Nov/2026:18:35:39.609] fe be/s 0/0/0/0/0 200 85 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1"'
EPOCH = "2026-11-23T18:35:39.610519+00:00"


@pytest.mark.parametrize(
    ("header", "node", "pid", "severity", "time"),
    [
        (b"<134>Nov 23 18:35:39 haproxy[28764]: ", None, 28764, 6, "Nov 23 18:35:39"),
        (b"<134>Nov 23 18:35:39 edge-lab-1 haproxy[28764]: ", "edge-lab-1", 28764, 6, "Nov 23 18:35:39"),
        (b"<129>Nov  3 08:05:09 localhost my.tag: ", None, None, 1, "Nov  3 08:05:09"),
        (
            b"<134>1 2026-11-23T18:35:39.610519+00:00 edge-lab-1 haproxy 28764 - - ",
            "edge-lab-1",
            28764,
            6,
            EPOCH,
        ),
        (b"<134>1 - - haproxy - - - ", None, None, 6, None),
        (b"<134>", None, None, 6, None),
        (b"<6>", None, None, 6, None),
        (b"<6>2026-11-23T18:35:39.610519+00:00 ", None, None, 6, EPOCH),
        (b"2026-11-23T18:35:39.610519+00:00 ", None, None, None, EPOCH),
        (b"2026-11-23T18:35:39.610519+00:00 edge haproxy[7]: ", "edge", 7, None, EPOCH),
        (b"Nov 23 18:35:39 edge haproxy[7]: ", "edge", 7, None, "Nov 23 18:35:39"),
        (b"", None, None, None, None),
    ],
)
@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n", b"\x00\n"])
def test_every_header_is_told_from_the_message(
    header: bytes, node: str | None, pid: int | None, severity: int | None, time: str | None, tail: bytes
) -> None:
    envelope = unwrap(header + MESSAGE + tail)
    assert envelope.message == MESSAGE.decode()
    assert envelope.raw == MESSAGE
    assert (envelope.node, envelope.pid, envelope.severity, envelope.time) == (node, pid, severity, time)
    assert envelope.has_header is bool(header)


@pytest.mark.parametrize(
    ("structured", "shown"),
    [
        (b"-", None),
        (b'[req@32473 uid="a\\"b\\\\c\\]d" status=200]', '[req@32473 uid="a\\"b\\\\c\\]d" status=200]'),
        (b'[a b="1"][c d="2 ] 3"]', '[a b="1"][c d="2 ] 3"]'),
        (b'[a b="open]', '[a b="open]'),
    ],
)
def test_structured_data_is_taken_apart_even_where_it_breaks_its_grammar(
    structured: bytes, shown: str | None
) -> None:
    envelope = unwrap(b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - " + structured + b" " + MESSAGE)
    assert (envelope.structured, envelope.message) == (shown, MESSAGE.decode())


def test_a_byte_order_mark_is_not_part_of_the_message() -> None:
    assert unwrap(b"<134>1 - h t 7 - - \xef\xbb\xbfhello").message == "hello"


def test_trailing_spaces_are_part_of_the_message() -> None:
    assert unwrap(b'<6>"" "" \n').message == '"" "" '


def test_odd_bytes_are_shown_and_kept() -> None:
    envelope = unwrap(b"<134>caf\xe9")
    assert (envelope.message, envelope.raw, envelope.is_utf8) == ("caf\\xe9", b"caf\xe9", False)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", True),
        (b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - - ", True),
        (b"<134>Nov 23 18:35:39 h haproxy[7]: ", True),
        (b"<134>", True),
        (b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - - x ", False),
        (b"<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - - a b - - ", False),
        (b"<134>Nov 23 18:35:39 h haproxy[7]: x", False),
        (b"x - - ", False),
        (b'<134>1 2026-11-23T18:35:39.610519+00:00 h haproxy 7 - [a b="', False),
    ],
)
def test_a_header_is_nothing_but_a_header(head: bytes, expected: bool) -> None:
    assert is_header(head + b'{"v":"hap-req/1"}', len(head)) is expected
