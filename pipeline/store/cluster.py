"""The schema's files as statements for a cluster: rendered and parsed, not run here. PURE: text alone.

Of each table `T` there are two: `T_local` holds rows on every node, replicated within its shard, and `T` is
`Distributed` over it, so that whoever writes to `T` or reads it need not know. All versions of a lineage have
one request id and land on one shard, where `FINAL` finds them together. Of each view `V` there are two as
well: `V` over the whole cluster, `V_local` over what its node holds. A materialized view is on each node alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.errors import ConfigError

_CREATE_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\s*(\(.*)", re.DOTALL)
_ENGINE = re.compile(r"\bENGINE\s*=\s*(\w*MergeTree)\b(?:\(([^()]*)\))?")
_ORDER_BY = re.compile(r"\bORDER BY\s+(?:\(([^()]*)\)|(\w+))")
_ALTER_TABLE = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.DOTALL)
_VIEW = re.compile(r"CREATE OR REPLACE VIEW (\w+)\s+AS\s+(.*)", re.DOTALL)
_ON_INSERT = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+)\s+AS\s+(.*)", re.DOTALL)
_COPY = re.compile(r"INSERT INTO (\w+)\s*(\(.*\bSETTINGS\b.*)", re.DOTALL)
_DROP = re.compile(r"DROP TABLE IF EXISTS (\w+)")
_READ_FROM = re.compile(r"((?:\bFROM|(?<!ARRAY )\bJOIN|\bIN)\s+)(\w+)\b(?!\s*\()")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")

LOCAL = "_local"
_SHARD_KEY = "request_id"


def on_cluster(cluster: str) -> str:
    """Give the clause that makes every node of a cluster run a statement.

    Raises:
        ConfigError: No cluster is called so.
    """
    if not _NAME.fullmatch(cluster):
        raise ConfigError(f"--cluster {cluster!r}: letters, digits, _ and - make the name of a cluster")
    return f"ON CLUSTER '{cluster}'"


def database_statement(database: str, cluster: str) -> str:
    """Give what makes the database on every node."""
    return f"CREATE DATABASE IF NOT EXISTS `{database}` {on_cluster(cluster)} ENGINE = Atomic"


class ClusterRenderer:
    """Turns statements for one server into those for a cluster; takes them in order, all from the first.

    Args:
        cluster: Its name, as in the servers' `remote_servers`.

    Raises:
        ConfigError: No cluster is called so.
    """

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._everywhere = on_cluster(cluster)
        self._sharded_by: dict[str, str] = {}
        self._views: set[str] = set()

    def render(self, statement: str) -> Iterator[str]:
        """Give the statements that do on a cluster what one does on a server.

        Raises:
            ConfigError: A kind of statement that there is no rule for.
        """
        statement = statement.strip().rstrip(";").rstrip()
        if found := _CREATE_TABLE.fullmatch(statement):
            yield from self._table(found[1], found[2])
        elif found := _ALTER_TABLE.fullmatch(statement):
            yield from self._altered(found[1], found[2])
        elif found := _VIEW.fullmatch(statement):
            yield from self._view(found[1], found[2])
        elif found := _ON_INSERT.fullmatch(statement):
            yield self._on_insert(found[1], found[2], found[3])
        elif (found := _COPY.fullmatch(statement)) and found[1] in self._sharded_by:
            # Run once, by whoever applies: it reads and writes by way of the tables over all shards.
            yield f"{statement}, distributed_foreground_insert = 1"
        elif found := _DROP.fullmatch(statement):
            yield from self._dropped(found[1])
        else:
            raise ConfigError(f"no rule says what this is on a cluster: {statement[:60]}")

    def _table(self, name: str, definition: str) -> Iterator[str]:
        engine = _ENGINE.search(definition)
        if engine is None:
            raise ConfigError(f"table {name} has an engine that cannot be replicated")
        place = f"'/clickhouse/tables/{{shard}}/{{database}}/{name}{LOCAL}', '{{replica}}'"
        replicated = f"ENGINE = Replicated{engine[1]}({', '.join(filter(None, (place, engine[2])))})"
        definition = definition[: engine.start()] + replicated + definition[engine.end() :]
        self._sharded_by[name] = _sharding_key(name, definition)
        yield f"CREATE TABLE IF NOT EXISTS {name}{LOCAL} {self._everywhere} {definition}"
        yield self._distributed(name)

    def _altered(self, name: str, changes: str) -> Iterator[str]:
        if name not in self._sharded_by:
            raise ConfigError(f"table {name} is changed before it is made")
        yield f"ALTER TABLE {name}{LOCAL} {self._everywhere} {changes}"
        yield self._distributed(name)  # takes over the columns; holds no rows of its own

    def _distributed(self, name: str) -> str:
        where = f"'{self._cluster}', currentDatabase(), {name}{LOCAL}, {self._sharded_by[name]}"
        return f"CREATE OR REPLACE TABLE {name} {self._everywhere} AS {name}{LOCAL} ENGINE = Distributed({where})"

    def _view(self, name: str, query: str) -> Iterator[str]:
        self._views.add(name)
        yield f"CREATE OR REPLACE VIEW {name}{LOCAL} {self._everywhere} AS {self._read_locally(query)}"
        yield f"CREATE OR REPLACE VIEW {name} {self._everywhere} AS {query}"

    def _on_insert(self, name: str, target: str, query: str) -> str:
        """Let a view of each node's own inserts stand beside its tables: what comes to a node is put there."""
        into = f"{name}{LOCAL} {self._everywhere} TO {target}{LOCAL}"
        return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {into} AS {self._read_locally(query)}"

    def _dropped(self, name: str) -> Iterator[str]:
        if self._sharded_by.pop(name, None) is None:
            raise ConfigError(f"table {name} is dropped before it is made")
        for table in (name, name + LOCAL):  # at once, so that its place in Keeper is free again
            yield f"DROP TABLE IF EXISTS {table} {self._everywhere} SYNC"

    def _read_locally(self, query: str) -> str:
        ours = self._views | self._sharded_by.keys()
        return _READ_FROM.sub(lambda m: m[1] + m[2] + (LOCAL if m[2] in ours else ""), query)


def _sharding_key(name: str, definition: str) -> str:
    """Say what decides the shard: the request id where there is one, else the whole key, so that versions meet."""
    if re.search(rf"[(,]\s*`?{_SHARD_KEY}`?\s", definition):
        return f"cityHash64({_SHARD_KEY})"
    key = _ORDER_BY.search(definition)
    if key is None:
        raise ConfigError(f"table {name} says no ORDER BY to shard by")
    return f"cityHash64({key[1] or key[2]})"
