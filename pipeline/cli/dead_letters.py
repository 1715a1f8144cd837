"""`hoptrail dead-letters`: records that were not understood, and how they come in after a mend."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from pipeline.cli.connect import Asked, ConfigOption, DataDirOption, Reader, StoreOption, UrlOption, reading
from pipeline.cli.letters import Letter, ReasonOption, SinceOption, letters, opened, originals_key
from pipeline.cli.mend import replay
from pipeline.cli.output import MOST_SHOWN, Column, Output, OutputOption, say, write_json, write_rows
from pipeline.errors import ConfigError, SealedOriginal
from pipeline.harmless import printable
from pipeline.model import Source
from pipeline.originals import Originals

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
OriginalOption = Annotated[
    bool,
    typer.Option("--original", help="Write the original bytes instead, decrypted with the key of originals."),
]
OriginalsKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        "--originals-key-file",
        help="Key of the originals; else redaction.originals_key_file.",
        dir_okay=False,
    ),
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
    limit: Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="Most letters shown.")] = 50,
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List dead letters, newest first; exit code 1 if there are none."""
    with reading(Asked(store, url, data_dir, config_file)) as reader:
        rows = list(letters(reader, since=since, reasons=reason, source=source, limit=limit))
    if not write_rows(rows, output, _COLUMNS):
        say("no dead letters")
        raise typer.Exit(1)


def show(
    fingerprint: Annotated[str, typer.Argument(help="Fingerprint, or its first 6 characters or more.")],
    original: OriginalOption = False,
    key_file: OriginalsKeyOption = None,
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
) -> None:
    """Show one dead letter as JSON, its body redacted; with --original its very bytes, where they were kept.

    Exit code 1 if there is none, if several different ones begin so, which are named, or if the original was not
    kept or does not open.
    """
    if len(fingerprint) < _SHORTEST_PREFIX or set(fingerprint) - set("0123456789abcdef"):
        raise ConfigError(f"{fingerprint!r} is no fingerprint: give 6 or more of its hexadecimal digits")
    asked = Asked(store, url, data_dir, config_file)
    key = originals_key(asked, key_file) if original else None
    if original and key is None:
        raise ConfigError("--original needs the key: give --key-file, or set redaction.originals_key_file")
    with reading(asked) as reader:
        rows = list(letters(reader, prefix=fingerprint, limit=1000))
        if key is not None and len({row["fingerprint"] for row in rows}) == 1:
            _write_original(reader, key, rows)
            return
    different = list(dict.fromkeys(row["fingerprint"] for row in rows))
    if len(different) == 1:
        write_json({**rows[0], "times_seen": len(rows)})
        return
    say(f"{len(different) or 'no'} dead letters begin with {fingerprint}")
    for other in different[:_SHOWN_MOST]:
        say(f"  {other}")
    raise typer.Exit(1)


def _write_original(reader: Reader, key: Originals, rows: list[Letter]) -> None:
    """Write the original of a letter: its bytes as they are, but to a terminal nothing that it might obey."""
    found = next(iter(opened(reader, key, rows)), None)
    if found is None:
        others = sorted({row["original_key"] for row in rows if row["original_key"]})
        found = SealedOriginal(
            f"its original was sealed with the key {', '.join(others)}; this is the key {key.key_id}"
            if others
            else "no original was kept of it: no key was configured, or it is longer than 1 MiB"
        )
    if isinstance(found, SealedOriginal):
        say(str(found))
        raise typer.Exit(1)
    if sys.stdout.isatty():
        sys.stdout.write(printable(found.body.decode(errors="backslashreplace")) + "\n")
    else:
        sys.stdout.buffer.write(found.body)
    sys.stdout.flush()
