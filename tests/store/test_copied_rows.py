"""Rows of before 0009 are in the new table, whole, and are found by their ids."""

from collections.abc import Sequence

from pipeline.model import Lineage
from pipeline.store import schema
from pipeline.store.connection import Connection
from pipeline.store.find import find
from pipeline.store.rows import encode_lineages
from pipeline.store.statements import FORMAT, TABLE, insert_statement, select_list, structure
from pipeline.store.stored_rows import decode_lineages

OLD = "lineage_versions"


def make_old_table(connection: Connection) -> None:
    """Run again what the files of before 0009 did to the table."""
    for migration in schema.migrations()[:8]:
        for statement in migration.statements:
            if statement.startswith((f"CREATE TABLE IF NOT EXISTS {OLD}", f"ALTER TABLE {OLD}")):
                connection.client.command(statement)


def move_to_old_table(connection: Connection) -> None:
    """Write what is there into the old table, whose columns have the names of elements of the new one's."""
    names = connection.client.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {t:String} "
        "AND default_kind = ''",
        {"t": OLD},
    ).result_columns[0]
    listed = ", ".join(f"`{name}`" for name in names)
    connection.client.command(f"INSERT INTO {OLD} ({listed}) SELECT {listed} FROM {TABLE}")
    connection.client.command(f"TRUNCATE TABLE {TABLE}")
    connection.client.command("TRUNCATE TABLE lineage_ids")


def rows_of(connection: Connection) -> list[Lineage]:
    query = f"SELECT {select_list()} FROM {TABLE} FINAL"
    return decode_lineages(connection.client.raw_query(query, fmt=FORMAT))


def sorted_by_key(rows: Sequence[Lineage]) -> list[Lineage]:
    return sorted(rows, key=lambda row: (row.bucket_s, row.request_id, row.rec_id))


def test_rows_of_before_are_copied_whole_once_and_found(
    connection: Connection, corpus: list[Lineage], captured: list[Lineage]
) -> None:
    rows = [*{(row.bucket_s, row.request_id, row.rec_id): row for row in (*corpus[:300], *captured)}.values()]
    connection.client.command(f"TRUNCATE TABLE {TABLE}")
    connection.insert(insert_statement, structure(), [encode_lineages(rows)])
    make_old_table(connection)
    move_to_old_table(connection)
    assert rows_of(connection) == []
    (copying,) = (one for one in schema.migrations()[8].statements if one.startswith("INSERT"))
    for _ in range(2):
        connection.client.command(copying)
        assert sorted_by_key(rows_of(connection)) == sorted_by_key(rows)
    whole = corpus[0]
    assert find(connection.client, whole.attempts[0].gateway_request_id or "", None, 0).lineages == [whole]
    connection.client.command(f"DROP TABLE {OLD}")
