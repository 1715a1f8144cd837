"""Dead letters as a store has them, and their originals where the key is at hand."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from pipeline.cli.connect import Asked, Reader
from pipeline.cli.search_options import moment_us
from pipeline.clock import SystemClock
from pipeline.config import Config, load_config
from pipeline.data_dir import load_key
from pipeline.errors import SealedOriginal
from pipeline.model import Source
from pipeline.originals import Originals

SinceOption = Annotated[str | None, typer.Option(help="Come at or after: 15m, 24h, 7d ago, or RFC 3339.")]
ReasonOption = Annotated[list[str] | None, typer.Option(help="Reason, such as not_json; repeatable.")]

Letter = dict[str, Any]
_NAMES = (
    "arrival_time", "source", "peer", "reason", "detail", "body", "fingerprint", "size", "original_key",
)  # fmt: skip
_MOST_AT_ONCE = 100
_MOST_BYTES_AT_ONCE = 16 * 2**20
"""Of originals that are asked for together; a read door has a limit for its answers."""


class Original(NamedTuple):
    """The bytes of a letter."""

    source: Source
    fingerprint: str
    body: bytes


def letters(
    reader: Reader,
    *,
    since: str | None = None,
    reasons: list[str] | None = None,
    source: Source | None = None,
    prefix: str = "",
    limit: int | None,
    with_bodies: bool = True,
) -> Iterator[Letter]:
    """Ask the store for dead letters, newest first, without their originals; all of them fit without bodies."""
    since_us = moment_us("--since", since, SystemClock().now_ns() // 1000) if since else 0
    found = reader.client.query(
        "SELECT formatDateTime(arrival_time, '%Y-%m-%dT%H:%i:%SZ', 'UTC') AS arrived, toString(source) AS of, "
        "peer, reason, detail, if({bodies:UInt8} = 1, body, '') AS shown, fingerprint, size, "
        "toString(original_key) AS key FROM dead_letters "
        "WHERE toUnixTimestamp64Micro(toDateTime64(arrival_time, 6)) >= {since:Int64} "
        "AND (empty({reasons:Array(String)}) OR has({reasons:Array(String)}, toString(reason))) "
        "AND ({source:String} = '' OR toString(source) = {source:String}) AND startsWith(fingerprint, {prefix:String}) "
        "ORDER BY arrival_time DESC, offset DESC LIMIT {limit:UInt64}",
        parameters={
            "since": since_us,
            "reasons": reasons or [],
            "source": source.value if source else "",
            "prefix": prefix,
            "bodies": int(with_bodies),
            "limit": limit or 10_000_000,
        },
    )
    for row in found.result_rows:
        letter = dict(zip(_NAMES, row, strict=True))
        yield letter | {"original_key": letter["original_key"] or None}


def configuration(asked: Asked) -> Config:
    """Read the configuration of the process whose store a command asks."""
    return load_config(asked.config_file, {"data_dir": asked.data_dir, "store.dsn": asked.store})


def originals_key(asked: Asked, file: Path | None) -> Originals | None:
    """Load the key of originals: the given file, else the configured one; None where there is neither.

    Raises:
        ConfigError: It cannot be read, or is too short.
    """
    file = file or configuration(asked).redaction.originals_key_file
    return Originals(load_key(file, create=False, setting="redaction.originals_key_file")) if file else None


def opened(reader: Reader, key: Originals, rows: Iterable[Letter]) -> Iterator[Original | SealedOriginal]:
    """Fetch and decrypt the originals of letters that this key sealed, each once.

    One that does not open is given as its error: it was changed in the store.
    """
    wanted = {row["fingerprint"]: row for row in rows if row["original_key"] == key.key_id}
    for part in _parts(list(wanted.values())):
        found = reader.client.query(
            "SELECT toString(source) AS of, fingerprint, size, original FROM dead_letters "
            "WHERE has({wanted:Array(String)}, fingerprint) AND toString(original_key) = {key:String} "
            "LIMIT 1 BY fingerprint",
            parameters={"wanted": [row["fingerprint"] for row in part], "key": key.key_id},
        )
        for source, fingerprint, size, sealed in found.result_rows:
            yield _opened(key, Source(source), fingerprint, size, sealed)


def _opened(
    key: Originals, source: Source, fingerprint: str, size: int, sealed: str
) -> Original | SealedOriginal:
    try:
        body = key.open(
            base64.b64decode(sealed, validate=True), source=source, fingerprint=fingerprint, size=size
        )
    except (SealedOriginal, binascii.Error) as error:
        return SealedOriginal(f"the original of {fingerprint[:12]} cannot be opened: {error}")
    return Original(source, fingerprint, body)


def _parts(rows: Sequence[Letter]) -> Iterator[list[Letter]]:
    """Cut letters into parts that one answer can hold."""
    part: list[Letter] = []
    size = 0
    for row in rows:
        if part and (len(part) >= _MOST_AT_ONCE or size + row["size"] > _MOST_BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(row)
        size += row["size"]
    if part:
        yield part
