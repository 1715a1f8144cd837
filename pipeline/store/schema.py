"""I/O: the numbered SQL of `schemas/clickhouse/`, applied forward, each file once.

A file that was applied may not change afterwards: its checksum is kept, and a different one is an error.
Every statement can be run again, so that a process killed between a file and its entry does no harm.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import Error

from pipeline.errors import ConfigError
from pipeline.resources import resource

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number UInt32,
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree ORDER BY number
"""


class Migration(NamedTuple):
    """One file."""

    number: int
    name: str
    checksum: str
    sql: str

    @property
    def statements(self) -> list[str]:
        """Its statements; a semicolon ends one where a line ends."""
        return [text for part in (self.sql + "\n").split(";\n") if (text := _without_comments(part))]


def _without_comments(text: str) -> str:
    """Leave out lines that are comments alone, so that what is left of an empty statement is empty."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip()


def migrations() -> list[Migration]:
    """Read the files that ship with the program, in order."""
    files = sorted(resource("schemas/clickhouse").glob("[0-9]*.sql"))
    return [
        Migration(
            int(file.name[:4]), file.stem, sha256(file.read_bytes()).hexdigest()[:16], file.read_text("utf-8")
        )
        for file in files
    ]


def applied(client: Client) -> dict[int, str]:
    """Give number and checksum of what was applied; nothing for a store that is new."""
    if not client.query(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations'"
    ).result_rows[0][0]:
        return {}
    rows = client.query("SELECT number, checksum FROM schema_migrations FINAL ORDER BY number").result_rows
    return {int(number): str(checksum) for number, checksum in rows}


def pending(client: Client) -> list[Migration]:
    """Give what is to be applied.

    Raises:
        ConfigError: A file that was applied has changed, or the store is newer than the program.
    """
    known, done = {one.number: one for one in migrations()}, applied(client)
    for number, checksum in done.items():
        if number not in known:
            raise ConfigError(
                f"the store's schema is newer (step {number}) than this program: update the program"
            )
        if known[number].checksum != checksum:
            raise ConfigError(
                f"schema step {known[number].name} was applied with other content: restore the file"
            )
    return [one for number, one in known.items() if number not in done]


def apply(client: Client) -> list[Migration]:
    """Apply what is missing; gives what was applied.

    Raises:
        ConfigError: As `pending`, or the store refused a statement.
    """
    try:
        client.command(_LEDGER)
        todo = pending(client)
        for migration in todo:
            for statement in migration.statements:
                client.command(statement)
            client.insert(
                "schema_migrations",
                [[migration.number, migration.name, migration.checksum]],
                column_names=["number", "name", "checksum"],
            )
    except Error as error:
        raise ConfigError(f"the store refused its schema: {str(error)[:500]}") from error
    return todo
