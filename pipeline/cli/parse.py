"""`hoptrail parse`: show what every record of a file is, without storing anything."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer

from pipeline.cli.output import say
from pipeline.data_dir import load_key
from pipeline.errors import ConfigError, MalformedLine
from pipeline.formats.framing import StreamFramer
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.haproxy_config import HaproxyConfig, line_formats, read_haproxy_config
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.redact import Redactor
from pipeline.harmless import escaped_json
from pipeline.model import EdgeEvent, EdgeRecord, GatewayRecord
from pipeline.sources.log_files import LogFile

_OCTET_COUNTED = re.compile(rb"[1-9]\d{0,5} <\d{1,3}>")

Record = EdgeRecord | GatewayRecord | EdgeEvent
Parse = Callable[..., Record]

LogFormatOption = Annotated[
    str | None, typer.Option(help="HAProxy's log-format, or its name; else lines are told apart.")
]
NamesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--name", help="What an expression is: 'var(txn.kid)=kong_rid' or '#2=kong_rid'; repeatable."
    ),
]
HaproxyConfigOption = Annotated[
    Path | None, typer.Option(help="A haproxy.cfg, whose frontends' formats are read.", dir_okay=False)
]
TimeZoneOption = Annotated[str, typer.Option(help="Zone of dates that HAProxy writes without one.")]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(help="Key of the fingerprints of secrets; else one for this run.", dir_okay=False),
]
FileArgument = Annotated[str, typer.Argument(help="Log file, also .gz or .zst; - is standard input.")]

_parsers = typer.Typer(
    help="Show what every record of a log file is; nothing is stored.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _parsers.command("haproxy")(parse_haproxy)
    _parsers.command("kong")(parse_kong)
    app.add_typer(_parsers, name="parse")


def parse_haproxy(
    file: FileArgument = "-",
    log_format: LogFormatOption = None,
    names: NamesOption = None,
    haproxy_config: HaproxyConfigOption = None,
    time_zone: TimeZoneOption = "UTC",
    key_file: KeyFileOption = None,
) -> None:
    """Print one JSON object per line of HAProxy's: its kind, fields and flags, or the error.

    Ends with a count by kind on standard error; exit code 1 if any line was not understood.
    """
    parser = haproxy_parser(
        redactor(key_file),
        log_format=log_format or "",
        names=names,
        haproxy_config=haproxy_config,
        time_zone=time_zone,
    )
    _show(haproxy_bodies(file), parser.parse)
    for warning, count in parser.warnings.items():
        say(f"warning ({count} lines): {warning}")


def parse_kong(file: FileArgument = "-", key_file: KeyFileOption = None) -> None:
    """Print one JSON object per entry of Kong's http-log, one body a line: its kind, fields and flags.

    Ends with a count by kind on standard error; exit code 1 if any entry was not understood.
    """
    _show(kong_bodies(file), KongParser(redactor=redactor(key_file)).parse)


def redactor(key_file: Path | None) -> Redactor:
    """Make a redactor with the operator's key, or with one that nobody keeps."""
    return Redactor(load_key(key_file, create=False) if key_file else secrets.token_bytes(32))


def haproxy_parser(
    redact: Redactor,
    *,
    log_format: str = "",
    names: list[str] | None = None,
    haproxy_config: Path | None = None,
    time_zone: str = "UTC",
) -> HaproxyParser:
    """Make the parser that options describe.

    Raises:
        ConfigError: A format, a name, a zone or a file is wrong.
    """
    formats = line_formats(read_config(haproxy_config)) if haproxy_config else []
    try:
        return HaproxyParser(
            redactor=redact,
            log_format=log_format,
            time_zone=time_zone,
            names=named(names),
            formats=formats,
        )
    except (KeyError, ValueError) as error:
        raise ConfigError(f"--time-zone: no time zone is called {time_zone!r}") from error


def read_config(file: Path) -> HaproxyConfig:
    """Read a `haproxy.cfg`, with this process's environment.

    Raises:
        ConfigError: It cannot be read, or HAProxy could not.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    return read_haproxy_config(text, os.environ)


def named(texts: list[str] | None) -> dict[str, str]:
    """Read `expression=name`.

    Raises:
        ConfigError: One has no `=`.
    """
    names = {}
    for text in texts or ():
        expression, equals, name = text.rpartition("=")
        if not equals:
            raise ConfigError(f"--name {text!r}: write EXPRESSION=NAME, as in 'var(txn.kid)=kong_rid'")
        names[expression] = name
    return names


def haproxy_bodies(file: str) -> Iterator[bytes]:
    """Give the lines of a file; what was captured of a TCP stream may be octet-counted.

    Raises:
        ConfigError: It cannot be opened.
        UnreadableFile: It breaks off; what could be read was given.
    """
    lines = _lines(file)
    first = next(lines, b"")
    if not _OCTET_COUNTED.match(first):
        yield from filter(_is_line, chain((first,), lines))
        return
    framer = StreamFramer()
    yield from framer.feed(first)
    for line in lines:
        yield from framer.feed(b"\n" + line)
    yield from framer.close()


def kong_bodies(file: str) -> Iterator[bytes | MalformedLine]:
    """Give the entries of a file with one http-log body a line; for a body that cannot be split its error.

    Raises:
        ConfigError: It cannot be opened.
        UnreadableFile: It breaks off; what could be read was given.
    """
    for line in _lines(file):
        try:
            yield from split_body(line)
        except MalformedLine as error:
            yield error


def _lines(file: str) -> Iterator[bytes]:
    with closing(LogFile(Path(file))) as log:
        for block in log.lines():
            yield from block


def _is_line(line: bytes) -> bool:
    return bool(line.strip(b"\r\x00"))


def _show(bodies: Iterator[bytes | MalformedLine] | Iterator[bytes], parse: Parse) -> None:
    counts: Counter[str] = Counter()
    for number, body in enumerate(bodies, 1):
        shown: dict[str, Any]
        try:
            if isinstance(body, MalformedLine):
                raise body
            shown = record_document(parse(body, offset=number, arrival_ns=0, peer=""))
        except MalformedLine as error:
            detail = str(error).removeprefix(f"{error.reason}: ").removeprefix(error.reason)
            shown = {"kind": "error", "error": {"reason": error.reason, "detail": detail}}
        counts[shown["kind"]] += 1
        text = orjson.dumps({"record": number, **shown}, default=msgspec.to_builtins)
        sys.stdout.write(escaped_json(text.decode()) + "\n")
    say(", ".join(f"{count} {kind}" for kind, count in counts.most_common()) or "no records")
    if counts["error"]:
        raise typer.Exit(1)


def record_document(record: Record) -> dict[str, Any]:
    """Give a record as `parse` shows it: kind, fields by their names in `model`, flags."""
    fields = msgspec.structs.asdict(record)
    for name in ("offset", "arrival_ns", "kind", "flags"):
        fields.pop(name, None)
    if isinstance(record, EdgeRecord):
        fields["timers"] = msgspec.structs.asdict(record.timers)
        return {"kind": "request", "fields": fields, "flags": record.flags}
    if isinstance(record, GatewayRecord):
        fields["tries"] = [msgspec.structs.asdict(attempted) for attempted in record.tries]
        return {"kind": "attempt", "fields": fields, "flags": record.flags}
    return {"kind": record.kind, "fields": fields, "flags": ()}
