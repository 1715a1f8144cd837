"""How long a store keeps rows: a TTL for each table, off unless told, and set by ALTER alone.

A row's age is that of what it tells of: a lineage's `bucket`, the arrival of an event or a dead letter, the minute
that was counted. Whole days are dropped at once (`ttl_only_drop_parts`), of minutes, the ledger and ids whole
months, so that a row may stay that much longer; a row and its tombstone, which share a bucket, go together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.errors import ConfigError
from pipeline.store.cluster import LOCAL, on_cluster
from pipeline.store.connection import Connection, answering, in_words
from pipeline.store.ledger import LEDGER
from pipeline.store.rollups import MINUTES
from pipeline.store.side_rows import DEAD_LETTERS, EVENTS
from pipeline.store.statements import IDS, TABLE

_AGES = {
    "lineage": (TABLE, "bucket"),
    "dead_letters": (DEAD_LETTERS.name, "toDateTime(arrival_time)"),
    "events": (EVENTS.name, "toDateTime(arrival_time)"),
    "minutes": (MINUTES, "minute"),
    "ledger": (LEDGER.name, "minute"),
}
_BEFORE_0009 = "lineage_versions"
KINDS = tuple(_AGES)
"""What has a retention of its own."""

_LONGEST_DAYS = 36_500
_DAYS = re.compile(r"([1-9]\d{0,4})d")
_VOLUME = re.compile(r"([A-Za-z_]\w{0,63}):([1-9]\d{0,4})d")
_TTL = re.compile(r" TTL (.*?)(?: SETTINGS |$)")
_MOVED = re.compile(r"toIntervalDay\((\d+)\) TO VOLUME '(\w+)'")
_DROPPED = re.compile(r"toIntervalDay\((\d+)\)(?! TO )")


class Kept(NamedTuple):
    """How long the rows of a table are kept, and where."""

    days: int | None = None
    """None: for good."""
    volume: str | None = None
    """Where older rows are moved to; None: nowhere."""
    volume_days: int | None = None
    """How old they are then."""

    def __str__(self) -> str:
        """Say it in words."""
        kept = f"{self.days} days" if self.days else "for good"
        return f"{kept}, on volume {self.volume} after {self.volume_days} days" if self.volume else kept


def parse_days(option: str, text: str) -> int | None:
    """Read `90d`, or `off` for None.

    Raises:
        ConfigError: Anything else; names the option.
    """
    if text == "off":
        return None
    found = _DAYS.fullmatch(text)
    if found is None or int(found[1]) > _LONGEST_DAYS:
        raise ConfigError(f"{option} {text}: write days, as in 90d (up to {_LONGEST_DAYS}d), or off")
    return int(found[1])


def parse_volume(text: str) -> tuple[str, int] | None:
    """Read `cold:30d`: the volume of older rows and their age; `off` for None.

    Raises:
        ConfigError: Anything else.
    """
    if text == "off":
        return None
    found = _VOLUME.fullmatch(text)
    if found is None:
        raise ConfigError(f"--volume {text}: write a volume of the storage policy and an age, as in cold:30d")
    return found[1], int(found[2])


def retention(connection: Connection) -> dict[str, Kept]:
    """Ask a store how long it keeps what, by kind; tables that it lacks are left out.

    Raises:
        StoreUnavailable: It did not answer.
    """
    return _read(connection, {table: kind for kind, (table, _) in _AGES.items()})


def retention_before_0009(connection: Connection) -> Kept:
    """Ask how long lineages were kept in their first table.

    Raises:
        StoreUnavailable: It did not answer.
    """
    kept = _read(connection, {_BEFORE_0009: "lineage"}).get("lineage", Kept())
    return Kept(kept.days)  # a new table is on the volumes of its policy, which is still to be said


def _read(connection: Connection, names: dict[str, str]) -> dict[str, Kept]:
    """Ask how long tables, here with their kinds, are kept."""
    names |= {table + LOCAL: kind for table, kind in names.items()}
    with answering():
        rows = connection.client.query(
            "SELECT name, engine_full FROM system.tables "
            "WHERE database = currentDatabase() AND name IN {names:Array(String)} AND engine != 'Distributed'",
            parameters={"names": list(names)},
        ).result_rows
    return {names[name]: _kept(engine) for name, engine in rows}


def _kept(engine: str) -> Kept:
    found = _TTL.search(engine)
    if found is None:
        return Kept()
    moved, dropped = _MOVED.search(found[1]), _DROPPED.search(found[1])
    return Kept(
        days=int(dropped[1]) if dropped else None,
        volume=moved[2] if moved else None,
        volume_days=int(moved[1]) if moved else None,
    )


def statements(before: Mapping[str, Kept], wanted: Mapping[str, Kept], cluster: str | None) -> Iterator[str]:
    """Give what turns one retention into another; nothing where they are the same.

    Raises:
        ConfigError: A volume after the rows are gone; a store without the table; a wrong name of a cluster.
    """
    for kind, kept in wanted.items():
        if kind not in before:
            raise ConfigError(f"the store has no table for {kind}: run hoptrail schema apply")
        if kept.days and kept.volume_days and kept.volume_days >= kept.days:
            raise ConfigError(f"{kind}: moved after {kept.volume_days} days, but dropped after {kept.days}")
        if kept == before[kind]:
            continue
        table, age = _AGES[kind]
        yield from _altered(table, age, kept, cluster)
        if kind == "lineage" and kept.days != before[kind].days:
            yield from _altered(
                IDS, age, Kept(kept.days), cluster
            )  # never moved: the way to old rows stays short


def _altered(table: str, age: str, kept: Kept, cluster: str | None) -> Iterator[str]:
    head = f"ALTER TABLE {table}{LOCAL} {on_cluster(cluster)}" if cluster else f"ALTER TABLE {table}"
    ttl = []
    if kept.volume:
        ttl.append(f"{age} + toIntervalDay({kept.volume_days}) TO VOLUME '{kept.volume}'")
    if kept.days:
        ttl.append(f"{age} + toIntervalDay({kept.days})")
    if ttl:
        yield f"{head} MODIFY SETTING ttl_only_drop_parts = 1"
        yield f"{head} MODIFY TTL {', '.join(ttl)}"
    else:
        yield f"{head} REMOVE TTL"


def apply(connection: Connection, wanted: Mapping[str, Kept], cluster: str | None = None) -> list[str]:
    """Set a retention; gives what was run: nothing where it was so already.

    Raises:
        ConfigError: As `statements`; or the store refuses, for it has no such volume.
        StoreUnavailable: The store did not answer.
    """
    todo = list(statements(retention(connection), wanted, cluster))
    try:
        for statement in todo:
            connection.client.command(statement)
    except DatabaseError as error:
        if error.code is not None:
            raise ConfigError(f"the store refuses this retention: {in_words(error)}") from error
        with answering():
            raise
    return todo
