"""The views say what the JSON document says, name by name."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.document import lineage_document
from pipeline.model import Lineage
from pipeline.store.connection import Connection
from pipeline.store.rows import encode_lineages
from pipeline.store.statements import insert_statement, structure

_SHAPED_OTHERWISE = {"attempts", "phases", "edge.termination_text"}
"""Attempts have their own view; phases and words are drawn from the rest."""


@pytest.fixture(scope="module")
def rows(connection: Connection, corpus: list[Lineage], captured: list[Lineage]) -> list[Lineage]:
    """Store the corpus and the captured cases; gives them."""
    taken = {(row.bucket_s, row.request_id, row.rec_id): row for row in (*corpus, *captured)}
    connection.insert(insert_statement, structure(), [encode_lineages(list(taken.values()))])
    return list(taken.values())


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give the leaves of a document under their dotted names."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def plain(value: object) -> object:
    """Bring a value of a view and one of a document to one form: unknown is None, times are text."""
    if isinstance(value, datetime):
        micros = value.replace(tzinfo=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return None if value.replace(tzinfo=None) == datetime(1970, 1, 1) else micros  # noqa: DTZ001
    return None if value in {"", 0} and not isinstance(value, bool) else value


def same(shown: object, said: object) -> bool:
    if isinstance(said, list):
        return list(shown) == said  # type: ignore[call-overload]
    return plain(shown) == plain(said)


def test_the_lineage_view_says_what_the_document_says(connection: Connection, rows: list[Lineage]) -> None:
    found = connection.client.query("SELECT * FROM lineage")
    shown = {
        (row["request_id"], row["rec_id"]): row
        for row in (dict(zip(found.column_names, values, strict=True)) for values in found.result_rows)
    }
    assert len(shown) == len(rows)
    for lineage in rows:
        row = shown[lineage.request_id, lineage.rec_id]
        for name, said in flat(lineage_document(lineage)):
            if name in _SHAPED_OTHERWISE or (name == "edge" and said is None):
                continue
            assert same(row[name], said), (name, row[name], said)


def test_the_attempts_view_says_what_the_document_says(connection: Connection, rows: list[Lineage]) -> None:
    found = connection.client.query("SELECT * FROM attempts")
    shown = {
        (row["request_id"], row["rec_id"], row["attempt"]): row
        for row in (dict(zip(found.column_names, values, strict=True)) for values in found.result_rows)
    }
    assert len(shown) == sum(len(row.attempts) for row in rows)
    for lineage in rows:
        for number, attempt in enumerate(lineage_document(lineage)["attempts"]):
            row = shown[lineage.request_id, lineage.rec_id, number]
            assert row["delivered"] == attempt.pop("delivered")
            attempt.pop("tries")
            for name, said in flat(attempt):
                assert same(row[name], said), (name, row[name], said)


def test_the_tries_view_says_what_the_document_says(connection: Connection, rows: list[Lineage]) -> None:
    found = connection.client.query("SELECT * FROM tries")
    shown = {
        (row["request_id"], row["rec_id"], row["attempt"], row["try"]): row
        for row in (dict(zip(found.column_names, values, strict=True)) for values in found.result_rows)
    }
    assert len(shown) == sum(len(attempt.tries) for row in rows for attempt in row.attempts)
    for lineage in rows:
        for number, attempt in enumerate(lineage_document(lineage)["attempts"]):
            for position, one in enumerate(attempt["tries"]):
                row = shown[lineage.request_id, lineage.rec_id, number, position]
                assert row["gateway_request_id"] == (attempt["gateway_request_id"] or "")
                for name, said in flat(one):
                    assert same(row[name], said), (name, row[name], said)


@pytest.mark.parametrize("view", ["lineage", "attempts", "tries", "edge_events", "dead_letters"])
def test_every_column_of_a_view_can_be_asked_for_by_its_name(connection: Connection, view: str) -> None:
    names = [row[0] for row in connection.client.query(f"DESCRIBE TABLE {view}").result_rows]
    listed = ", ".join(f"`{name}`" for name in names)
    assert connection.client.query(f"SELECT {listed} FROM {view} LIMIT 0").column_names == tuple(names)


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("trace_id = 'a'", "ix_trace_id"),
        ("span_trace_id = 'a'", "ix_span_trace_id"),
        ("`identity.consumer_name` = 'a'", "ix_consumer_name"),
        ("`identity.consumer_id` = 'a'", "ix_consumer_id"),
        ("start_time > now()", "ix_start_time"),
    ],
)
def test_views_look_through_the_indexes_of_the_table(
    connection: Connection, condition: str, index: str
) -> None:
    query = f"EXPLAIN indexes = 1 SELECT status FROM lineage WHERE {condition}"
    assert any(index in line for (line,) in connection.client.query(query).result_rows)


def test_a_lineage_is_found_in_sql_by_an_id_as_the_documentation_says(
    connection: Connection, rows: list[Lineage]
) -> None:
    gateway_id = rows[0].attempts[0].gateway_request_id
    found = connection.client.query(
        "SELECT request_id FROM lineage WHERE bucket IN (SELECT bucket FROM lineage_ids "
        "WHERE hash = xxHash32({id:String})) AND has(gateway_request_ids, {id:String})",
        parameters={"id": gateway_id},
    ).result_rows
    assert (rows[0].request_id,) in found
    assert len(found) < 5


def test_views_hide_superseded_rows_and_tombstones(connection: Connection, rows: list[Lineage]) -> None:
    first = rows[0]
    fields = {name: getattr(first, name) for name in first.__struct_fields__}
    dead = Lineage(**(fields | {"is_deleted": True, "rev": first.rev + 1}))
    count = "SELECT count() FROM lineage"
    before = connection.client.command(count)
    connection.insert(insert_statement, structure(), [encode_lineages(rows[:50])])
    assert connection.client.command(count) == before
    connection.insert(insert_statement, structure(), [encode_lineages([dead])])
    assert connection.client.command(count) == before - 1
