from __future__ import annotations

from pipeline.formats import flags as flag
from pipeline.formats.envelope import Envelope
from pipeline.formats.line_formats import LineFormat, LineFormats
from pipeline.formats.log_format import compile_format

DATE = "23/Nov/2026:18:57:23.518"


def envelope(message: str, structured: str | None = None) -> Envelope:
    return Envelope(message, message.encode(), structured=structured)


def test_the_format_that_reads_a_line_whole_is_the_one() -> None:
    short, long = LineFormat(compile_format("%ci %tr %ST")), LineFormat(compile_format("%ci %tr %ST %ID"))
    formats = LineFormats([long, short])
    for message, expected in ((f"192.0.2.1 {DATE} 200", short), (f"192.0.2.1 {DATE} 200 abc", long)) * 2:
        flags: set[str] = set()
        found = formats.read(envelope(message), flags)
        assert found is not None
        assert found[0] is expected
        assert not flags


def test_a_cut_line_is_of_a_format_only_if_of_no_other_whole() -> None:
    formats = LineFormats([LineFormat(compile_format("%ci %tr %ST %tsc %ft %ID"))])
    flags: set[str] = set()
    found = formats.read(envelope(f"192.0.2.1 {DATE} 200 PR"), flags)
    assert found is not None
    assert found[1]["ST"] == "200"
    assert flags == {flag.TRUNCATED}
    assert formats.read(envelope("nothing of the kind"), set()) is None


def test_a_frontends_format_reads_its_lines_alone() -> None:
    formats = LineFormats([LineFormat(compile_format("%ft %ci %ST"), "one")])
    assert formats.read(envelope("one~ 192.0.2.1 200"), set()) is not None
    assert formats.read(envelope("two 192.0.2.1 200"), set()) is None


def test_structured_data_adds_what_the_message_lacks() -> None:
    own = compile_format('%{+Q,+E}o [a@1 uid=%ID st="%ST"]')
    formats = LineFormats([LineFormat(compile_format("%ci %ST"), structured=own)])
    found = formats.read(envelope("192.0.2.1 200", '[a@1 uid="x\\"y" st="999"]'), set())
    assert found is not None
    assert found[1] == {"ci": "192.0.2.1", "ST": "200", "ID": 'x"y'}
    assert formats.read(envelope("192.0.2.1 200", "[other]"), set()) is not None


def test_odd_bytes_of_json_stay_visible() -> None:
    formats = LineFormats([LineFormat(compile_format('{"r":"%r","st":%ST}'))])
    raw = b'{"r":"GET /\xff HTTP/1.1","st":200}'
    found = formats.read(Envelope(raw.decode(errors="backslashreplace"), raw, is_utf8=False), set())
    assert found is not None
    assert found[1]["r"] == "GET /\\xff HTTP/1.1"
