"""Roles for a server, with the limits of the read door: `schemas/clickhouse/access.sql` filled in."""

from __future__ import annotations

import re

from pipeline.config import DoorConfig
from pipeline.resources import resource
from pipeline.store.cluster import on_cluster

_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def access_sql(database: str, door: DoorConfig, cluster: str | None = None) -> str:
    """Give the file's text, comments included, for a database.

    Args:
        database: Where the tables are.
        door: Its limits are those of the roles.
        cluster: Where given, every node of it runs each statement.

    Raises:
        ConfigError: No cluster is called so.
    """
    text = resource("schemas/clickhouse/access.sql").read_text(encoding="utf-8")
    values = {
        "on_cluster": on_cluster(cluster) if cluster else "",
        "database": database.replace("`", ""),
        "seconds_a_minute": 60 * door.max_concurrent,
        "max_rows": door.max_rows,
        "max_bytes": door.max_bytes,
        "max_seconds": max(1, round(door.max_seconds)),
        "max_memory_bytes": door.max_memory_bytes,
        "max_threads": door.max_threads,
        "max_concurrent": door.max_concurrent,
    }
    filled = re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), text)
    return re.sub(r" +;", ";", _single_spaced(filled))


def statements(text: str) -> list[str]:
    """Cut a rendered file into its statements."""
    return [part.strip() for part in _COMMENT.sub("", text).split(";\n") if part.strip()]


def _single_spaced(text: str) -> str:
    """Leave out the gap of a clause that was filled with nothing; indentation stays."""
    return re.sub(r"(?<=\S) {2,}(?=\S)", " ", text)
