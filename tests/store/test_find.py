"""Any id finds its rows as they are now: few by their names, many in one statement, and the same rows either way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.model import Lineage
from pipeline.store.connection import Connection
from pipeline.store.find import MOST, find
from pipeline.store.rows import encode_lineages
from pipeline.store.statements import insert_statement, structure

DAY_S = 86_400


class BetweenStatements:
    """A client beside which somebody else writes after its first statement."""

    def __init__(self, client: Any, write: Callable[[], None]) -> None:
        self._client, self._write, self.asked = client, write, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def raw_query(self, *args: Any, **options: Any) -> bytes:
        answer = self._client.raw_query(*args, **options)
        self.asked += 1
        if self.asked == 1:
            self._write()
        return answer


@pytest.fixture
def emptied(connection: Connection) -> Connection:
    for table in ("lineage_rows", "lineage_ids"):
        connection.client.command(f"TRUNCATE TABLE {table}")
    return connection


@pytest.fixture
def whole(corpus: list[Lineage]) -> Lineage:
    return next(row for row in corpus if row.outcome == "complete" and row.trace_id and row.edge)


def put(connection: Connection, *rows: Lineage) -> None:
    connection.insert(insert_statement, structure(), [encode_lineages(rows)])


def found(connection: Connection, text: str | None) -> list[Lineage]:
    assert text
    return find(connection.client, text, None, DAY_S).lineages


def ids_of(row: Lineage) -> list[str | None]:
    return [row.request_id, row.trace_id, *(one.gateway_request_id for one in row.attempts)]


def test_each_id_finds_its_row_among_many(
    emptied: Connection, corpus: list[Lineage], captured: list[Lineage]
) -> None:
    put(emptied, *corpus)
    put(emptied, *captured)
    for row in [*corpus[::150], *captured[::10]]:
        for one in filter(None, ids_of(row)):
            rows = found(emptied, one)
            assert row in rows
            assert all(one in ids_of(other) or one == _captured_id(other) for other in rows)


def _captured_id(row: Lineage) -> str | None:
    return row.edge.gateway_request_id if row.edge else None


def test_the_newest_version_is_found_and_a_tombstone_hides_it(emptied: Connection, whole: Lineage) -> None:
    put(emptied, whole)
    newer = replace(whole, rev=whole.rev + 1, flags=("late",))
    put(emptied, newer)
    assert [found(emptied, one) for one in ids_of(whole)] == [[newer]] * len(ids_of(whole))
    put(emptied, replace(newer, rev=newer.rev + 1, is_deleted=True))
    assert [found(emptied, one) for one in ids_of(whole)] == [[]] * len(ids_of(whole))


def test_an_id_that_the_newest_version_has_no_more_does_not_find_it(
    emptied: Connection, whole: Lineage
) -> None:
    put(emptied, whole)
    attempts = tuple(replace(attempt, trace_id=None) for attempt in whole.attempts)
    newer = replace(whole, rev=whole.rev + 1, trace_id="0af7651916cd43dd8448eb211c80319c", attempts=attempts)
    put(emptied, newer)
    assert found(emptied, whole.trace_id) == []
    assert found(emptied, newer.trace_id) == [newer]


@pytest.mark.parametrize("count", [1, 99, 150, MOST + 5])
def test_all_of_a_trace_are_found_oldest_first(emptied: Connection, whole: Lineage, count: int) -> None:
    rows = [_started(whole, number) for number in range(count)]
    put(emptied, *reversed(rows))
    assert found(emptied, whole.trace_id) == rows[:MOST]


def _started(row: Lineage, number: int) -> Lineage:
    """Give a lineage of the same trace that begins so many microseconds later, in another second."""
    assert row.edge is not None
    edge = replace(row.edge, start_us=row.edge.start_us + number, rec_id=number + 1, request_id=f"r{number}")
    return replace(
        row, bucket_s=row.bucket_s + number, rec_id=edge.rec_id, request_id=edge.request_id, edge=edge
    )


def test_a_request_id_that_is_anothers_gateway_id_hides_nothing(emptied: Connection, whole: Lineage) -> None:
    gateway_id = whole.attempts[0].gateway_request_id
    assert gateway_id is not None
    assert whole.edge is not None
    forged = replace(whole, request_id=gateway_id, rec_id=7, attempts=(), delivered=None)
    forged = replace(
        forged, edge=replace(whole.edge, request_id=gateway_id, rec_id=7, gateway_request_id=None)
    )
    put(emptied, whole, forged)
    assert {row.rec_id for row in found(emptied, gateway_id)} == {whole.rec_id, 7}


def test_what_takes_a_rows_place_while_it_is_looked_for_is_found(emptied: Connection, whole: Lineage) -> None:
    gateway_id = whole.attempts[0].gateway_request_id
    orphan = replace(whole, edge=None, rec_id=3, outcome="gateway_only", request_id="as the gateway says")
    put(emptied, orphan)
    buried = replace(orphan, rev=orphan.rev + 9, is_deleted=True)
    client = BetweenStatements(emptied.client, lambda: put(emptied, whole, buried))
    assert find(client, str(gateway_id), None, DAY_S).lineages == [whole]  # type: ignore[arg-type]  # a client all the same
    assert client.asked == 5


def test_ids_that_share_a_hash_find_their_own_rows_alone(emptied: Connection, whole: Lineage) -> None:
    put(emptied, whole)
    stranger = "00000000-0000-4000-8000-000000000001"
    emptied.client.command(
        "INSERT INTO lineage_ids SELECT xxHash32({id:String}), bucket, rec FROM lineage_ids", {"id": stranger}
    )
    assert found(emptied, stranger) == []


def test_the_trace_that_a_lineages_spans_were_given_finds_it(emptied: Connection, whole: Lineage) -> None:
    attempts = tuple(replace(attempt, trace_id=None) for attempt in whole.attempts)
    untraced = replace(whole, trace_id=None, trace_id_source=None, attempts=attempts)
    put(emptied, untraced)
    ((made,),) = emptied.client.query("SELECT span_trace_id FROM lineage").result_rows
    assert made == whole.request_id.replace("-", "")
    assert found(emptied, made) == [untraced]


def test_a_batch_that_is_sent_again_leaves_no_id_out(emptied: Connection, whole: Lineage) -> None:
    lines = [encode_lineages([whole])]
    emptied.insert(insert_statement, structure(), lines, token="a batch")
    emptied.client.command("TRUNCATE TABLE lineage_ids")  # as after a kill between the two tables
    emptied.insert(insert_statement, structure(), lines, token="a batch")
    assert found(emptied, whole.request_id) == [whole]
