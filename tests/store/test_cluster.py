"""The schema on a cluster: rendered, and parsed by ClickHouse itself; there is no cluster here to run it on."""

import re

import pytest

from pipeline.errors import ConfigError
from pipeline.store.cluster import ClusterRenderer
from pipeline.store.connection import Connection
from pipeline.store.schema import migrations, rendered

STATEMENTS = [
    pytest.param(statement, id=f"{migration.name}-{number}")
    for migration in rendered(migrations(), "main")
    for number, statement in enumerate(migration.statements)
]


def render(*statements: str) -> list[str]:
    renderer = ClusterRenderer("main")
    return [out for one in statements for out in renderer.render(one)]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_clickhouse_can_read_what_is_rendered_and_every_node_runs_it(
    connection: Connection, statement: str
) -> None:
    tree = connection.client.query(f"EXPLAIN AST {statement}").result_columns[0]
    found = re.match(r"CreateQuery|AlterQuery|DropQuery|InsertQuery", "".join(tree))
    assert found
    assert " ON CLUSTER 'main' " in statement or found[0] == "InsertQuery"


def test_each_table_is_replicated_and_has_a_sharded_one_over_it() -> None:
    local, over_all = render(
        "CREATE TABLE IF NOT EXISTS t (`bucket` DateTime, `request_id` String)\n"
        "ENGINE = ReplacingMergeTree(rev, is_deleted)\nORDER BY (bucket, request_id)"
    )
    assert local.startswith("CREATE TABLE IF NOT EXISTS t_local ON CLUSTER 'main' (")
    place = "'/clickhouse/tables/{shard}/{database}/t_local', '{replica}'"
    assert f"ENGINE = ReplicatedReplacingMergeTree({place}, rev, is_deleted)\nORDER BY" in local
    assert over_all == (
        "CREATE OR REPLACE TABLE t ON CLUSTER 'main' AS t_local "
        "ENGINE = Distributed('main', currentDatabase(), t_local, cityHash64(request_id))"
    )


def test_all_versions_of_a_row_without_a_request_id_meet_on_one_shard() -> None:
    *_, over_all = render(
        "CREATE TABLE IF NOT EXISTS t (a UInt8, b UInt8) ENGINE = MergeTree ORDER BY (a, b)"
    )
    assert over_all.endswith("cityHash64(a, b))")


def test_every_lineage_is_sharded_by_its_request_id() -> None:
    over_all = [
        statement
        for migration in rendered(migrations(), "main")
        for statement in migration.statements
        if "TABLE lineage_rows ON" in statement
    ]
    assert over_all
    assert all("lineage_rows_local, cityHash64(request_id))" in statement for statement in over_all)


def test_a_changed_table_is_changed_on_every_node_and_the_sharded_one_follows() -> None:
    made = "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a"
    *_, changed, followed = render(made, "ALTER TABLE t ADD COLUMN IF NOT EXISTS b UInt8")
    assert changed == "ALTER TABLE t_local ON CLUSTER 'main' ADD COLUMN IF NOT EXISTS b UInt8"
    assert followed.startswith("CREATE OR REPLACE TABLE t ON CLUSTER 'main' AS t_local ENGINE = Distributed(")


def test_a_view_reads_the_whole_cluster_and_its_local_one_its_own_node() -> None:
    local, over_all = render(
        "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a",
        "CREATE OR REPLACE VIEW v AS SELECT a, t FROM t FINAL ARRAY JOIN t WHERE a IN (SELECT a FROM t) AND x IN other",
    )[2:]
    query = "SELECT a, t FROM t FINAL ARRAY JOIN t WHERE a IN (SELECT a FROM t) AND x IN other"
    assert over_all == f"CREATE OR REPLACE VIEW v ON CLUSTER 'main' AS {query}"
    assert local == f"CREATE OR REPLACE VIEW v_local ON CLUSTER 'main' AS {query}".replace(
        "FROM t", "FROM t_local"
    )


def test_a_view_of_a_view_stays_on_its_node_too() -> None:
    rendered_ = render("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE OR REPLACE VIEW w AS SELECT * FROM v")
    assert rendered_[2].endswith("AS SELECT * FROM v_local")


def test_a_view_on_insert_is_on_each_node_between_its_own_tables() -> None:
    made = "CREATE TABLE IF NOT EXISTS {} (a UInt8) ENGINE = MergeTree ORDER BY a"
    *_, on_insert = render(
        made.format("t"),
        made.format("u"),
        "CREATE MATERIALIZED VIEW IF NOT EXISTS m TO u AS SELECT a FROM t ARRAY JOIN [1] AS x",
    )
    assert on_insert == (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS m_local ON CLUSTER 'main' TO u_local "
        "AS SELECT a FROM t_local ARRAY JOIN [1] AS x"
    )


def test_rows_are_copied_once_through_the_tables_over_all_shards() -> None:
    made = "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a"
    *_, copied = render(made, "INSERT INTO t (a) SELECT a FROM u SETTINGS async_insert = 0")
    assert copied == (
        "INSERT INTO t (a) SELECT a FROM u SETTINGS async_insert = 0, distributed_foreground_insert = 1"
    )


def test_a_dropped_table_is_dropped_on_every_node_and_known_no_more() -> None:
    made = "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree ORDER BY a"
    *_, over_all, local = render(made, "DROP TABLE IF EXISTS t")
    assert over_all == "DROP TABLE IF EXISTS t ON CLUSTER 'main' SYNC"
    assert local == "DROP TABLE IF EXISTS t_local ON CLUSTER 'main' SYNC"
    with pytest.raises(ConfigError, match="before it is made"):
        render(made, "DROP TABLE IF EXISTS t", "ALTER TABLE t ADD COLUMN b UInt8")


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE t",
        "DROP TABLE IF EXISTS t",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t (a) SELECT a FROM u SETTINGS async_insert = 0",
        "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Memory",
        "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = MergeTree",
        "ALTER TABLE unknown ADD COLUMN a UInt8",
    ],
)
def test_what_no_rule_covers_is_refused_rather_than_guessed(statement: str) -> None:
    with pytest.raises(ConfigError):
        render(statement)


@pytest.mark.parametrize("name", ["", "a b", "x'; DROP", "é", "a" * 65])
def test_a_cluster_has_a_plain_name(name: str) -> None:
    with pytest.raises(ConfigError, match="--cluster"):
        ClusterRenderer(name)
