"""`hoptrail dead-letters replay`: how records that were not understood come in after a mend."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.connect import Asked, ConfigOption, DataDirOption, StoreOption, UrlOption, reading
from pipeline.cli.letters import (
    Original,
    ReasonOption,
    SinceOption,
    configuration,
    letters,
    opened,
    originals_key,
)
from pipeline.cli.output import say
from pipeline.cli.parse import (
    HaproxyConfigOption,
    KeyFileOption,
    LogFormatOption,
    NamesOption,
    Parse,
    TimeZoneOption,
    haproxy_bodies,
    haproxy_parser,
    kong_bodies,
)
from pipeline.data_dir import load_key
from pipeline.errors import ConfigError, MalformedLine, SealedOriginal
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Redactor
from pipeline.model import Source

FromOption = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="Log that holds originals, also .gz, .zst; repeatable."),
]
OriginalsKeyOption = Annotated[
    Path | None,
    typer.Option(
        help="Key of the originals that the store holds; else redaction.originals_key_file.", dir_okay=False
    ),
]
_FILES = {Source.HAPROXY: "haproxy.log", Source.KONG: "kong.jsonl"}


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
    originals_key_file: OriginalsKeyOption = None,
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
) -> None:
    """Find the originals of dead letters, and write those that are understood now for `hoptrail replay`.

    Where a key of originals is configured, the store holds them. Else a dead letter keeps no original, only its
    keyed fingerprint: that is how its line is known again in HAProxy's own log (--haproxy) or in bodies of Kong's
    http-log (--kong). Nothing else of these logs is taken. Exit code 1 if none was found, or one that was found
    is not understood still.
    """
    asked = Asked(store, url, data_dir, config_file)
    key = originals_key(asked, originals_key_file)
    if not haproxy and not kong and key is None:
        raise ConfigError(
            "give --haproxy FILE or --kong FILE: the logs in which to look for originals; or "
            "--originals-key-file FILE, where the store holds them"
        )
    redact = _redactor(asked, key_file, needs_key=bool(haproxy or kong))
    lines = haproxy_parser(
        redact, log_format=log_format or "", names=names, haproxy_config=haproxy_config, time_zone=time_zone
    )
    mender = Mender(
        redact, {Source.HAPROXY: lines.parse, Source.KONG: KongParser(redactor=redact).parse}, into
    )
    with reading(asked) as reader:
        rows = list(letters(reader, since=since, reasons=reason, limit=None, with_bodies=False))
        wanted = {row["fingerprint"] for row in rows}
        for original in opened(reader, key, rows) if key is not None else ():
            mender.take(original)
    for file in haproxy or ():
        mender.look_in(haproxy_bodies(file), Source.HAPROXY, wanted)
    for file in kong or ():
        mender.look_in(kong_bodies(file), Source.KONG, wanted)
    _report(mender.counts, len(wanted), into)


def _report(counts: Counter[str], wanted: int, into: Path) -> None:
    say(f"{counts['mended']} of {wanted} dead letters are understood now")
    if counts["mended"]:
        say(
            f"next: hoptrail replay --haproxy {into}/haproxy.log --kong {into}/kong.jsonl, those that are there"
        )
    if counts["dead"]:
        say(f"{counts['dead']} were found and are not understood still")
    if counts["dead"] or counts["sealed"] or not counts["mended"]:
        raise typer.Exit(1)


class Mender:
    """Reads originals again, and writes what is understood now.

    Args:
        redactor: Knows a record again by its fingerprint.
        parsers: What understands the records of each source.
        into: Where those that are understood are written, a file for each source.
    """

    def __init__(self, redactor: Redactor, parsers: dict[Source, Parse], into: Path) -> None:
        self._redactor = redactor
        self._parsers = parsers
        self._into = into
        self._seen: set[str] = set()
        self.counts: Counter[str] = Counter()
        into.mkdir(mode=0o700, parents=True, exist_ok=True)

    def look_in(self, bodies: Iterable[bytes | MalformedLine], source: Source, wanted: set[str]) -> None:
        """Pick from a log the records that are wanted."""
        for body in bodies:
            fingerprint = "" if isinstance(body, MalformedLine) else self._known(body, wanted)
            if fingerprint and not isinstance(body, MalformedLine):
                self._mend(Original(source, fingerprint, body))

    def take(self, original: Original | SealedOriginal) -> None:
        """Take an original that the store held; one that could not be opened is said and counted."""
        if isinstance(original, SealedOriginal):
            self.counts["sealed"] += 1
            say(str(original))
            return
        self._mend(original)

    def _mend(self, original: Original) -> None:
        """Write a record as one line, if it is understood as such."""
        self._seen.add(original.fingerprint)
        line = b" ".join(original.body.rstrip(b"\r\n").splitlines())
        try:
            self._parsers[original.source](line, offset=0, arrival_ns=0, peer="")
        except Exception:  # noqa: BLE001 -- a letter of a fault of ours may meet the fault again
            self.counts["dead"] += 1
        else:
            self.counts["mended"] += 1
            file = os.open(
                self._into / _FILES[original.source], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
            )
            with os.fdopen(file, "ab") as out:  # raw bytes: for their owner alone
                out.write(line + b"\n")

    def _known(self, body: bytes, wanted: set[str]) -> str:
        """Give the fingerprint under which a record is wanted; a log's line end may or may not have come too."""
        bare = body.rstrip(b"\r\n")
        for candidate in (body, bare, bare + b"\n"):
            fingerprint = self._redactor.fingerprint(candidate)
            if fingerprint in wanted and fingerprint not in self._seen:
                return fingerprint
        return ""


def _redactor(asked: Asked, key_file: Path | None, *, needs_key: bool) -> Redactor:
    """Make the redactor whose key the store's fingerprints were made with; any will do where none is compared."""
    if key_file is not None:
        return Redactor(load_key(key_file, create=False))
    if not needs_key:
        return Redactor(secrets.token_bytes(32))
    config = configuration(asked)
    if config.redaction.key_file is not None:
        return Redactor(load_key(config.redaction.key_file, create=False))
    directory = config.store_dsn.removeprefix("chdb://").partition("?")[0].rstrip("/")
    embedded = config.store_dsn.startswith("chdb://")
    file = Path(f"{directory}.key") if embedded else config.data_dir / "redaction.key"
    return Redactor(load_key(file, create=False))
