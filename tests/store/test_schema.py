"""Files are applied once, in order, forward only; and they are what the program writes and reads."""

import re
import threading
from collections.abc import Iterator

import pytest

from pipeline.errors import ConfigError, StoreUnavailable
from pipeline.store import schema, schema_lock
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.side_rows import DEAD_LETTERS, EVENTS
from pipeline.store.statements import TABLE, table_columns

NAMES = [migration.name for migration in schema.migrations()]


@pytest.fixture
def empty(face_address: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Open a database without a schema."""
    opened = connect(parse_dsn(f"clickhouse://{face_address}/{request.node.name[:60]}", {}), create=True)
    yield opened
    opened.close()


def types_of(connection: Connection, table: str) -> dict[str, str]:
    rows = connection.client.query(
        "SELECT name, type, default_kind FROM system.columns "
        "WHERE database = currentDatabase() AND table = {t:String}",
        parameters={"t": table},
    ).result_rows
    return {name: kind for name, kind, default in rows if default not in {"MATERIALIZED", "ALIAS"}}


def test_files_are_numbered_without_gaps() -> None:
    assert [migration.number for migration in schema.migrations()] == list(range(1, len(NAMES) + 1))


def test_the_table_has_the_columns_that_are_written_and_no_others(connection: Connection) -> None:
    there = types_of(connection, TABLE)
    assert {name: re.sub(r"[`\s]", "", kind) for name, kind in there.items()} == {
        name: re.sub(r"[`\s]", "", kind) for name, kind in table_columns().items()
    }
    assert list(there) == list(table_columns())


@pytest.mark.parametrize("table", [EVENTS, DEAD_LETTERS], ids=lambda table: table.name)
def test_the_side_tables_have_the_columns_that_are_written(connection: Connection, table: object) -> None:
    written = {column.name: column.kind.stored for column in table.columns}
    assert types_of(connection, table.name) == written


def test_a_new_store_lacks_everything_and_an_applied_one_nothing(empty: Connection) -> None:
    assert [migration.name for migration in schema.pending(empty)] == NAMES
    with pytest.raises(ConfigError, match="run hoptrail schema apply"):
        schema.require(empty)
    assert [migration.name for migration in schema.apply(empty, embedded=False)] == NAMES
    schema.require(empty)
    assert schema.apply(empty, embedded=False) == []
    assert [row.name for row in schema.applied(empty)] == NAMES


def test_a_store_that_was_half_applied_goes_on(empty: Connection) -> None:
    for statement in schema.migrations()[0].statements:
        empty.client.command(statement)
    schema.apply(empty, embedded=False)
    assert schema.pending(empty) == []


def test_what_brings_an_older_store_up_to_date_is_logged_and_a_new_store_is_quiet(
    empty: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pipeline.store")
    schema.apply(empty, embedded=False)
    assert not caplog.messages
    empty.client.command(
        f"ALTER TABLE schema_versions DELETE WHERE number = {len(NAMES)} SETTINGS mutations_sync = 1"
    )
    schema.apply(empty, embedded=False)
    assert caplog.messages == [f"bringing the store up to date: {NAMES[-1]}"]


def test_a_changed_file_is_refused(empty: Connection) -> None:
    schema.apply(empty, embedded=False)
    empty.client.command(
        "INSERT INTO schema_versions (number, name, checksum, applied_at) "
        f"VALUES (1, '{NAMES[0]}', 'another', now64(3) + INTERVAL 1 DAY)"
    )
    with pytest.raises(ConfigError, match=f"{NAMES[0]} was changed"):
        schema.apply(empty, embedded=False)


def test_a_store_of_a_newer_program_is_refused(empty: Connection) -> None:
    schema.apply(empty, embedded=False)
    empty.client.command(
        "INSERT INTO schema_versions (number, name, checksum) VALUES (9999, '9999_x.sql', 'y')"
    )
    with pytest.raises(ConfigError, match="use a newer one"):
        schema.require(empty)


def test_two_processes_may_apply_at_once(face_address: str) -> None:
    dsn = parse_dsn(f"clickhouse://{face_address}/at_once", {})
    applied: list[list[str]] = []

    def apply() -> None:
        connection = connect(dsn, create=True)
        applied.append([migration.name for migration in schema.apply(connection, embedded=False)])
        connection.close()

    threads = [threading.Thread(target=apply) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(len, applied)) == [0, 0, 0, len(NAMES)]


def test_a_lock_left_by_a_killed_process_does_not_hold_forever(
    empty: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_lock, "_STALE_S", 0)
    monkeypatch.setattr(schema_lock, "_PATIENCE_S", 30)
    empty.client.command("CREATE TABLE schema_lock (held UInt8) ENGINE = Memory")
    schema.apply(empty, embedded=False)
    assert schema.pending(empty) == []
    assert not empty.client.command("EXISTS TABLE schema_lock")


def test_a_lock_that_somebody_holds_is_respected_and_named(
    empty: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_lock, "_PATIENCE_S", 1)
    empty.client.command("CREATE TABLE schema_lock (held UInt8) ENGINE = Memory")
    with pytest.raises(StoreUnavailable, match=r"has held schema_lock for \d+ s; drop that table"):
        schema.apply(empty, embedded=False)
    assert empty.client.command("EXISTS TABLE schema_lock")


def test_the_lock_of_a_cluster_is_asked_for_on_every_node(empty: Connection) -> None:
    with (
        pytest.raises(StoreUnavailable, match=r"CLUSTER|cluster|ZooKeeper|DDL"),
        schema_lock.locked(empty, "main"),
    ):
        pytest.fail("there is no cluster here to run it on")


def test_statements_are_told_apart_without_their_comments() -> None:
    for migration in schema.migrations():
        for statement in migration.statements:
            assert re.match(
                r"(CREATE ((TABLE|MATERIALIZED VIEW) IF NOT EXISTS|OR REPLACE VIEW)|ALTER TABLE|INSERT INTO"
                r"|DROP TABLE IF EXISTS) \w+",
                statement,
            )
            assert ";" not in statement.rstrip(";")
