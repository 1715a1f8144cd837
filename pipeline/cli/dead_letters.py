"""`hoptrail dead-letters`: records that were not understood, and how they come in after a mend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.text import Text

from pipeline.cli.connect import Asked, ConfigOption, DataDirOption, Reader, StoreOption, UrlOption, reading
from pipeline.cli.output import Column, Output, OutputOption, say, write_json, write_rows
from pipeline.cli.parse import (
    HaproxyConfigOption,
    KeyFileOption,
    LogFormatOption,
    NamesOption,
    TimeZoneOption,
    haproxy_bodies,
    haproxy_parser,
    kong_bodies,
)
from pipeline.cli.search_options import moment_us
from pipeline.clock import SystemClock
from pipeline.config import load_config
from pipeline.data_dir import load_key
from pipeline.errors import ConfigError, MalformedLine
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Redactor
from pipeline.model import Source

_SHORTEST_PREFIX = 6
_SHOWN_MOST = 10
_COLUMNS = (
    Column("TIME", lambda row: row["arrival_time"][:19].replace("T", " "), 19),
    Column("FINGERPRINT", lambda row: row["fingerprint"][:12], 12),
    Column("SOURCE", lambda row: row["source"], 7),
    Column("REASON", lambda row: row["reason"], 16),
    Column("BYTES", lambda row: Text(str(row["size"])), 8, right=True),
    Column("PEER", lambda row: row["peer"], 9),
    Column("DETAIL", lambda row: row["detail"].removeprefix(f"{row['reason']}: "), 20, grows=True),
)
SinceOption = Annotated[str | None, typer.Option(help="Come at or after: 15m, 24h, 7d ago, or RFC 3339.")]
ReasonOption = Annotated[list[str] | None, typer.Option(help="Reason, such as not_json; repeatable.")]
FromOption = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="Log that holds originals, also .gz, .zst; repeatable."),
]

_letters = typer.Typer(help="Records that were not understood.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _letters.command("list")(list_letters)
    _letters.command("show")(show)
    _letters.command("replay")(replay)
    app.add_typer(_letters, name="dead-letters")


def list_letters(
    since: SinceOption = None,
    reason: ReasonOption = None,
    source: Annotated[Source | None, typer.Option(help="Whose.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most letters shown.")] = 50,
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List dead letters, newest first; exit code 1 if there are none."""
    with reading(Asked(store, url, data_dir, config_file)) as reader:
        rows = list(_rows(reader, since=since, reasons=reason, source=source, limit=limit))
    if not write_rows(rows, output, _COLUMNS):
        say("no dead letters")
        raise typer.Exit(1)


def show(
    fingerprint: Annotated[str, typer.Argument(help="Fingerprint, or its first 6 characters or more.")],
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
) -> None:
    """Show one dead letter as JSON, its body redacted.

    Exit code 1 if there is none, or if several different ones begin so; those are named.
    """
    if len(fingerprint) < _SHORTEST_PREFIX or set(fingerprint) - set("0123456789abcdef"):
        raise ConfigError(f"{fingerprint!r} is no fingerprint: give 6 or more of its hexadecimal digits")
    with reading(Asked(store, url, data_dir, config_file)) as reader:
        rows = list(_rows(reader, prefix=fingerprint, limit=1000))
    different = list(dict.fromkeys(row["fingerprint"] for row in rows))
    if len(different) == 1:
        write_json({**rows[0], "times_seen": len(rows)})
        return
    say(f"{len(different) or 'no'} dead letters begin with {fingerprint}")
    for other in different[:_SHOWN_MOST]:
        say(f"  {other}")
    raise typer.Exit(1)


def replay(
    haproxy: FromOption = None,
    kong: FromOption = None,
    into: Annotated[
        Path, typer.Option(help="Directory for what is understood now: haproxy.log and kong.jsonl.")
    ] = Path("mended"),
    since: SinceOption = None,
    reason: ReasonOption = None,
    log_format: LogFormatOption = None,
    names: NamesOption = None,
    haproxy_config: HaproxyConfigOption = None,
    time_zone: TimeZoneOption = "UTC",
    key_file: KeyFileOption = None,
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
) -> None:
    """Find the originals of dead letters in logs, and write those that are understood now for `hoptrail replay`.

    A dead letter keeps no original, only its keyed fingerprint: that is how its line is known again in HAProxy's
    own log (--haproxy) or in bodies of Kong's http-log (--kong). Nothing else of these logs is taken. Exit code 1
    if none was found, or one that was found is not understood still.
    """
    if not haproxy and not kong:
        raise ConfigError("give --haproxy FILE or --kong FILE: the logs in which to look for originals")
    asked = Asked(store, url, data_dir, config_file)
    redact = _redactor(asked, key_file)
    with reading(asked) as reader:
        wanted = {row["fingerprint"] for row in _rows(reader, since=since, reasons=reason, limit=None)}
    mender = _Mender(wanted, redact)
    parser = haproxy_parser(
        redact, log_format=log_format or "", names=names, haproxy_config=haproxy_config, time_zone=time_zone
    )
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    for files, bodies, parse, name in (
        (haproxy, haproxy_bodies, parser.parse, "haproxy.log"),
        (kong, kong_bodies, KongParser(redactor=redact).parse, "kong.jsonl"),
    ):
        for file in files or ():
            with (into / name).open("ab") as out:
                mender.mend(bodies(file), parse, out)
    say(f"{mender.counts['mended']} of {len(wanted)} dead letters are understood now")
    if mender.counts["mended"]:
        say(
            f"next: hoptrail replay --haproxy {into}/haproxy.log --kong {into}/kong.jsonl, those that are there"
        )
    if mender.counts["dead"]:
        say(f"{mender.counts['dead']} were found and are not understood still")
    if mender.counts["dead"] or not mender.counts["mended"]:
        raise typer.Exit(1)


class _Mender:
    """Picks from logs the records that dead letters were made of."""

    def __init__(self, wanted: set[str], redactor: Redactor) -> None:
        self._wanted = wanted
        self._redactor = redactor
        self._seen: set[str] = set()
        self.counts: Counter[str] = Counter()

    def mend(self, bodies: Iterable[bytes | MalformedLine], parse: Any, out: BinaryIO) -> None:  # noqa: ANN401 -- a parser's
        """Write the bodies that are wanted and understood now, one a line."""
        for body in bodies:
            fingerprint = "" if isinstance(body, MalformedLine) else self._known(body)
            if not fingerprint or isinstance(body, MalformedLine):
                continue
            self._seen.add(fingerprint)
            try:
                parse(body, offset=0, arrival_ns=0, peer="")
            except MalformedLine:
                self.counts["dead"] += 1
            else:
                self.counts["mended"] += 1
                out.write(body.rstrip(b"\r\n") + b"\n")

    def _known(self, body: bytes) -> str:
        """Give the fingerprint under which a record is wanted; a log's line end may or may not have come too."""
        bare = body.rstrip(b"\r\n")
        for candidate in (body, bare, bare + b"\n"):
            fingerprint = self._redactor.fingerprint(candidate)
            if fingerprint in self._wanted and fingerprint not in self._seen:
                return fingerprint
        return ""


def _redactor(asked: Asked, key_file: Path | None) -> Redactor:
    """Make the redactor whose key the store's fingerprints were made with."""
    if key_file is not None:
        return Redactor(load_key(key_file, create=False))
    options = {"data_dir": asked.data_dir, "store.dsn": asked.store}
    config = load_config(asked.config_file, options)
    if config.redaction.key_file is not None:
        return Redactor(load_key(config.redaction.key_file, create=False))
    directory = config.store_dsn.removeprefix("chdb://").partition("?")[0].rstrip("/")
    embedded = config.store_dsn.startswith("chdb://")
    file = Path(f"{directory}.key") if embedded else config.data_dir / "redaction.key"
    return Redactor(load_key(file, create=False))


def _rows(
    reader: Reader,
    *,
    since: str | None = None,
    reasons: list[str] | None = None,
    source: Source | None = None,
    prefix: str = "",
    limit: int | None,
) -> Iterator[dict[str, Any]]:
    """Ask the store for dead letters, newest first."""
    since_us = moment_us("--since", since, SystemClock().now_ns() // 1000) if since else 0
    found = reader.client.query(
        "SELECT formatDateTime(arrival_time, '%Y-%m-%dT%H:%i:%SZ', 'UTC') AS arrived, toString(source) AS of, "
        "peer, reason, detail, body, fingerprint, size FROM dead_letters "
        "WHERE toUnixTimestamp64Micro(toDateTime64(arrival_time, 6)) >= {since:Int64} "
        "AND (empty({reasons:Array(String)}) OR has({reasons:Array(String)}, toString(reason))) "
        "AND ({source:String} = '' OR toString(source) = {source:String}) AND startsWith(fingerprint, {prefix:String}) "
        "ORDER BY arrival_time DESC, offset DESC LIMIT {limit:UInt64}",
        parameters={
            "since": since_us,
            "reasons": reasons or [],
            "source": source.value if source else "",
            "prefix": prefix,
            "limit": limit or 10_000_000,
        },
    )
    names = ("arrival_time", "source", "peer", "reason", "detail", "body", "fingerprint", "size")
    for row in found.result_rows:
        yield dict(zip(names, row, strict=True))
