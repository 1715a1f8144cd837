"""Roles for a server: rendered with the door's limits, and parsed by ClickHouse itself; not run here."""

import re

import pytest

from pipeline.config import DoorConfig
from pipeline.store.access import access_sql, statements
from pipeline.store.connection import Connection

DOOR = DoorConfig(
    max_rows=111,
    max_bytes=222_222,
    max_seconds=33,
    max_memory_bytes=44_444_444,
    max_threads=5,
    max_concurrent=6,
)


@pytest.mark.parametrize("cluster", [None, "main"])
def test_clickhouse_can_read_every_statement(connection: Connection, cluster: str | None) -> None:
    found = statements(access_sql("audit", DOOR, cluster))
    assert len(found) >= 12
    for statement in found:
        connection.client.command(f"EXPLAIN AST {statement}")
        assert ("ON CLUSTER 'main'" in statement) is (cluster is not None)
        assert not re.search(r"\{\w+\}", statement)


def test_readers_have_the_limits_of_the_door_and_cannot_raise_them() -> None:
    text = access_sql("audit", DOOR)
    for setting, limit in {
        "max_result_rows": 111,
        "max_result_bytes": 222_222,
        "max_execution_time": 33,
        "max_memory_usage": 44_444_444,
        "max_threads": 5,
    }.items():
        assert f"{setting} = {limit} MAX {limit}" in text
    assert "max_concurrent_queries_for_user = 6 READONLY" in text
    assert "MAX execution_time = 360\n" in text


def test_nobody_may_change_or_remove_what_is_stored() -> None:
    granted = [one for one in statements(access_sql("audit", DOOR)) if one.startswith("GRANT")]
    rights = {right for one in granted for right in re.findall(r"SELECT|INSERT|ALTER|DROP|ALL|TRUNCATE", one)}
    assert rights == {"SELECT", "INSERT"}
    assert [one for one in granted if "INSERT" in one] == [
        "GRANT SELECT, INSERT ON `audit`.* TO hoptrail_writer"
    ]


def test_dead_letters_are_for_auditors() -> None:
    found = statements(access_sql("audit", DOOR))
    assert "REVOKE SELECT ON `audit`.dead_letters FROM hoptrail_reader" in found
    assert not any("REVOKE" in one and "auditor" in one for one in found)


def test_a_database_cannot_end_its_name_by_itself() -> None:
    assert "ON `ab`.*" in access_sql("a`b", DOOR)


def test_a_limit_of_less_than_a_second_is_not_rounded_to_none() -> None:
    assert "max_execution_time = 1 MAX 1," in access_sql("audit", DoorConfig(max_seconds=0.3))
