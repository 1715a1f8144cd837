"""A coverage-guided fuzz target: `python tests/fuzz/target.py NAME [libFuzzer's options] [corpus]`.

Each target takes any bytes and may raise nothing; what it finds goes to `crashes/NAME-…` and stays a test.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["pipeline.formats"]):
    from pipeline.errors import ConfigError, MalformedLine
    from pipeline.formats.dead_letter import to_dead_letter
    from pipeline.formats.framing import StreamFramer
    from pipeline.formats.haproxy import HaproxyParser
    from pipeline.formats.haproxy_config import line_formats, read_haproxy_config
    from pipeline.formats.kong import KongParser, split_body
    from pipeline.formats.log_format import compile_format, report_on
    from pipeline.formats.redact import Redactor
from pipeline.model import Source

_REDACTOR = Redactor(b"k" * 32)
_HAPROXY = HaproxyParser(
    redactor=_REDACTOR, log_format='%{+Q}o %ci "%[capture.req.hdr(0)]" %CC %hr %hrl %ST %tr'
)
_KONG = KongParser(redactor=_REDACTOR, headers=["request.x-a", "request.cookie", "response.via"])


def haproxy(body: bytes) -> None:
    _read(_HAPROXY, Source.HAPROXY, body)


def kong(body: bytes) -> None:
    _read(_KONG, Source.KONG, body)


def _read(parser: HaproxyParser | KongParser, source: Source, body: bytes) -> None:
    try:
        record = parser.parse(body, offset=1, arrival_ns=1_795_460_245_226_000_000, peer="p")
    except MalformedLine as error:
        letter = to_dead_letter(
            body, offset=1, source=source, arrival_ns=1, peer="p", error=error, redactor=_REDACTOR
        )
        letter.body.encode()
    else:
        f"{record}".encode()


def split(body: bytes) -> None:
    try:
        entries = split_body(body)
    except MalformedLine:
        return
    position = 0
    for entry in entries:
        position = body.index(entry, position) + len(entry)


def framing(stream: bytes) -> None:
    whole, pieces = StreamFramer(max_frame=64), StreamFramer(max_frame=64)
    expected = whole.feed(stream) + whole.close()
    found = [
        frame for at in range(len(stream)) for frame in pieces.feed(stream[at : at + 1])
    ] + pieces.close()
    if found != expected:
        raise AssertionError("framed otherwise byte by byte")


def log_format(body: bytes) -> None:
    """The first line is a format, the others are lines."""
    text, _, lines = body.decode(errors="replace").partition("\n")
    try:
        compiled = compile_format(text[:300])
    except ConfigError:
        return
    report_on(compiled)
    for line in lines.split("\n"):
        compiled.read(line)


def configuration(body: bytes) -> None:
    try:
        line_formats(read_haproxy_config(body.decode(errors="replace"), {"A": "b"}))
    except ConfigError:
        return


TARGETS: dict[str, Callable[[bytes], None]] = {
    "haproxy": haproxy,
    "kong": kong,
    "split": split,
    "framing": framing,
    "log_format": log_format,
    "configuration": configuration,
}

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
