"""Octet counts and line ends, alternating, split anywhere; `test_any_bytes.py` feeds it byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.framing import StreamFramer

frames = st.lists(
    st.binary(min_size=1, max_size=40).map(lambda body: b"<134>" + body.replace(b"\n", b" ")), max_size=8
)


@given(frames, st.lists(st.booleans(), min_size=8, max_size=8))
def test_frames_written_either_way_come_back(bodies: list[bytes], counted: list[bool]) -> None:
    stream = b"".join(
        b"%d %b" % (len(body), body) if is_counted else body + b"\n"
        for body, is_counted in zip(bodies, counted, strict=False)
    )
    framer = StreamFramer()
    assert framer.feed(stream) + framer.close() == bodies


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"<134>a\n\n\n<134>b", [b"<134>a", b"<134>b"]),
        (b"127.0.0.1:1 [x] y\n", [b"127.0.0.1:1 [x] y"]),
        (b"6 <134>a6 <134>b", [b"<134>a", b"<134>b"]),
        (b"9 <134>\na\nb", [b"<134>\na\nb"]),
        (b"9 <134>a", [b"<134>a"]),
        (b"0 x\n", [b"0 x"]),
        (b"999999999 <134>a\n<134>b\n", [b"999999999 <134>a", b"<134>b"]),
        (b"", []),
        (b"  ", []),
    ],
)
def test_streams_are_cut_where_their_frames_end(stream: bytes, expected: list[bytes]) -> None:
    framer = StreamFramer()
    assert framer.feed(stream) + framer.close() == expected


def test_what_never_ends_is_handed_on_in_pieces() -> None:
    framer = StreamFramer(max_frame=100)
    pieces = framer.feed(b"x" * 950)
    assert [len(piece) for piece in pieces] == [100] * 9
    assert b"".join(pieces + framer.close()) == b"x" * 950


def test_closing_twice_gives_nothing_twice() -> None:
    framer = StreamFramer()
    assert framer.feed(b"<134>open") == []
    assert framer.close() == [b"<134>open"]
    assert framer.close() == []
