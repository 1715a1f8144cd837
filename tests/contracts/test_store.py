"""What every store promises, whatever it keeps its rows in."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from pipeline.contracts import Batch, Fragment, LookupKey, Store
from pipeline.formats.text import identity_hash
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Timers, Try
from pipeline.sinks.clickhouse import open_sink
from pipeline.sinks.memory import MemoryStore

T0_S = 1_795_460_243
"""23 November 2026, 18:57:23 UTC."""
HOUR_S = 3600
ODD = (
    "a'b",
    "a\\nb",
    "a\nb",
    "a\tb",
    "a\r\nb",
    "nul\x00",
    "\x1b[31m",
    "{x:String}",
    "%s",
    "\\N",
    "é\u2028",
    "')--",
)


SERVER = "HOPTRAIL_TEST_CLICKHOUSE_DSN"
KINDS = ["memory", "chdb", "http", *(["server"] if os.environ.get(SERVER) else [])]


@pytest.mark.skipif("server" in KINDS, reason="the suite runs on it")
def test_a_real_server_keeps_the_same_promises() -> None:
    pytest.skip(f"{SERVER} names no server (clickhouse://user:password@host:8123)")


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(request, tmp_path) as found:
        yield found


@asynccontextmanager
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "chdb":
        embedded = request.getfixturevalue("embedded")
        embedded.ask("open", f"chdb://{tmp_path}/store")
        yield embedded
        embedded.ask("close")
        return
    make: Callable[[], str] = request.getfixturevalue(f"{request.param}_dsn")
    async with open_sink(make()) as sink:
        yield sink


def edge(request_id: str, *, start_s: int = T0_S, rec_id: int = 0, **fields: object) -> EdgeRecord:
    """Make an edge record; its bucket is exact, as with our edge configuration."""
    fields.setdefault("request_start_us", start_s * 1_000_000)
    return EdgeRecord(
        rec_id=rec_id or identity_hash(request_id, str(start_s)),
        offset=start_s,
        request_id=request_id,
        start_us=start_s * 1_000_000,
        timers=Timers(0, 0, 1, 5, 2, 8),
        status=200,
        **fields,
    )


def attempt(gateway_id: str, *request_ids: str, start_s: int = T0_S, exact: bool = True) -> GatewayRecord:
    """Make a gateway record with one try."""
    return GatewayRecord(
        attempt_id=identity_hash(gateway_id),
        offset=start_s + 1,
        request_ids=request_ids,
        started_us=start_s * 1_000_000,
        gateway_request_id=gateway_id,
        request_start_us=start_s * 1_000_000 if exact else None,
        status=200,
        tries=(Try("192.0.2.7", 80, None, 200, start_s * 1_000_000 + 5, 0.25),),
    )


def lineage(*records: EdgeRecord | GatewayRecord) -> Lineage:
    (made,) = resolve(
        [one for one in records if isinstance(one, EdgeRecord)],
        [one for one in records if isinstance(one, GatewayRecord)],
    )
    return made


def tombstone(row: Lineage) -> Lineage:
    return msgspec.structs.replace(row, is_deleted=True, rev=row.rev + 1)


def by_id(*request_ids: str, bucket_s: int = T0_S) -> LookupKey:
    return LookupKey(bucket_s, request_ids, ())


async def write(store: Store, *rows: Lineage) -> None:
    assert not await store.write(Batch(rows, (), ()))


async def test_a_lineage_comes_back_as_it_was_written(store: Store) -> None:
    row = lineage(
        edge("request-1", gateway_request_id="kong-2"),
        attempt("kong-1", "request-1"),
        attempt("kong-2", "request-1"),
    )
    await write(store, row)
    assert await store.find_stored([by_id("request-1")]) == [row]


@pytest.mark.parametrize(
    "key",
    [
        LookupKey(T0_S, ("request-1",), ()),
        LookupKey(T0_S, ("forwarded-1",), ()),
        LookupKey(T0_S, (), ("kong-1",)),
        LookupKey(T0_S, (), ("kong-captured",)),
        LookupKey(T0_S, ("else",), ("kong-1",)),
    ],
)
async def test_a_lineage_is_found_by_each_of_its_ids(store: Store, key: LookupKey) -> None:
    row = lineage(
        edge("request-1", gateway_request_id="kong-captured"), attempt("kong-1", "forwarded-1", "request-1")
    )
    await write(store, row, lineage(edge("request-2")))
    assert await store.find_stored([key]) == [row]


async def test_records_without_an_id_are_found_by_their_name(store: Store) -> None:
    row, other = lineage(edge("", rec_id=11)), lineage(edge("", rec_id=12))
    await write(store, row, other)
    assert await store.find_stored([LookupKey(T0_S, (), (), (11,))]) == [row]


async def test_what_was_never_written_is_not_found(store: Store) -> None:
    assert await store.find_stored([by_id("request-1")]) == []
    await write(store, lineage(edge("request-1")))
    assert await store.find_stored([by_id("request-2"), by_id("", bucket_s=T0_S)]) == []
    assert await store.find_stored([]) == []


async def test_packed_rows_come_back_and_are_written_with_the_others(store: Store) -> None:
    rows = [
        lineage(edge(f"request-{number}"), attempt(f"kong-{number}", f"request-{number}"))
        for number in range(6)
    ]
    pieces = [store.pack(rows[:2]), store.pack(rows[2:5])]
    assert [len(piece) for piece in pieces] == [2, 3]
    assert pieces[1].rows() == rows[2:5]
    assert pieces[1].sharing({"kong-3", "request-0"}) == [rows[3]]
    assert not await store.write(Batch(rows[5:], (), (), packed=pieces))
    found = await store.find_stored([by_id(row.request_id) for row in rows])
    assert sorted(found, key=lambda row: row.request_id) == rows


async def test_the_same_batch_twice_gives_the_same_rows_once(store: Store) -> None:
    rows = [lineage(edge(f"request-{number}")) for number in range(50)]
    await write(store, *rows)
    await write(store, *rows)
    found = await store.find_stored([by_id(row.request_id) for row in rows])
    assert sorted(found, key=lambda row: row.rec_id) == sorted(rows, key=lambda row: row.rec_id)


async def test_the_richer_row_wins_whichever_comes_last(store: Store) -> None:
    half, whole = lineage(edge("request-1")), lineage(edge("request-1"), attempt("kong-1", "request-1"))
    await write(store, half)
    await write(store, whole)
    await write(store, half)
    assert await store.find_stored([by_id("request-1")]) == [whole]


async def test_two_edge_records_with_one_id_both_stand(store: Store) -> None:
    rows = [lineage(edge("request-1", rec_id=5)), lineage(edge("request-1", rec_id=6))]
    await write(store, *rows)
    found = await store.find_stored([by_id("request-1")])
    assert sorted(found, key=lambda row: row.rec_id) == rows


async def test_a_tombstone_hides_the_row_that_was_absorbed(store: Store) -> None:
    orphan = lineage(attempt("kong-1", "request-1"))
    whole = lineage(edge("request-1"), attempt("kong-1", "request-1"))
    await write(store, orphan)
    await write(store, whole, tombstone(orphan))
    assert await store.find_stored([by_id("request-1")]) == [whole]
    await write(store, orphan)
    assert await store.find_stored([by_id("request-1")]) == [whole], "a poorer redelivery raised the dead"


@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_an_orphan_of_an_hour_is_found_from_an_exact_bucket(store: Store, hours: int) -> None:
    """A gateway that does not log X-Request-Start knows its own start alone, which may be an hour's border off."""
    orphan = lineage(attempt("kong-1", "request-1", start_s=T0_S + hours * HOUR_S, exact=False))
    assert orphan.bucket_s % HOUR_S == 0
    await write(store, orphan)
    assert await store.find_stored([by_id("request-1")]) == [orphan]


async def test_an_exact_row_is_found_from_a_whole_hour(store: Store) -> None:
    row = lineage(edge("request-1"))
    await write(store, row)
    for hour in (-1, 0, 1):
        bucket_s = T0_S - T0_S % HOUR_S + hour * HOUR_S
        assert await store.find_stored([by_id("request-1", bucket_s=bucket_s)]) == [row]


async def test_thousands_are_found_at_once(store: Store) -> None:
    rows = [
        lineage(
            edge(f"request-{number}", start_s=T0_S + number), attempt(f"kong-{number}", f"request-{number}")
        )
        for number in range(6000)
    ]
    await write(store, *rows)
    keys = [LookupKey(row.bucket_s, (row.request_id,), (f"stranger-{row.rec_id}",)) for row in rows[1000:]]
    found = await store.find_stored(keys)
    assert {row.rec_id: row for row in found} == {row.rec_id: row for row in rows[1000:]}
    assert len(found) == 5000


async def test_thousands_are_found_among_many_more_of_the_same_seconds(store: Store) -> None:
    """Too few of what their buckets hold to read these whole."""
    rows = [
        lineage(edge(f"request-{number}", start_s=T0_S + number % 3, rec_id=number + 1))
        for number in range(8000)
    ]
    await write(store, *rows)
    found = await store.find_stored([by_id(row.request_id, bucket_s=row.bucket_s) for row in rows[::5]])
    assert sorted(row.rec_id for row in found) == [row.rec_id for row in rows[::5]]


async def test_thousands_are_found_by_what_the_gateway_calls_them(store: Store) -> None:
    rows = [
        lineage(
            edge(f"request-{number}", start_s=T0_S + number % 3, gateway_request_id=f"kong-{number}"),
            attempt(f"kong-{number}", f"request-{number}", start_s=T0_S + number % 3),
        )
        for number in range(3000)
    ]
    await write(store, *rows)
    keys = [LookupKey(row.bucket_s, (), (f"kong-{number}",)) for number, row in enumerate(rows[:2000])]
    found = await store.find_stored(keys)
    assert sorted(row.rec_id for row in found) == sorted(row.rec_id for row in rows[:2000])


async def test_a_batch_may_span_more_days_than_one_insert_of_a_server(store: Store) -> None:
    rows = [lineage(edge(f"request-{day}", start_s=T0_S - day * 86_400)) for day in range(250)]
    orphans = [
        lineage(attempt(f"kong-{day}", f"request-{day}", start_s=T0_S - day * 86_400)) for day in range(250)
    ]
    await write(store, *orphans)
    await write(store, *rows, *map(tombstone, orphans))
    found = await store.find_stored([by_id(row.request_id, bucket_s=row.bucket_s) for row in rows])
    assert {row.rec_id for row in found} == {row.rec_id for row in rows}


async def test_hostile_ids_are_values_and_nothing_else(store: Store) -> None:
    rows = [lineage(edge(text, start_s=T0_S + number)) for number, text in enumerate(ODD)]
    await write(store, *rows)
    for row in rows:
        assert await store.find_stored([by_id(row.request_id, bucket_s=row.bucket_s)]) == [row]
    assert len(await store.find_stored([by_id(*ODD, bucket_s=T0_S - T0_S % HOUR_S)])) == len(ODD)


async def test_an_empty_batch_is_no_work(store: Store) -> None:
    assert not await store.write(Batch((), (), ()))


async def test_an_id_on_very_many_rows_gives_a_bounded_number_of_them(store: Store) -> None:
    many = [lineage(edge("constant", start_s=T0_S + n)) for n in range(300)]
    alone = lineage(edge("request-1"), attempt("kong-1", "constant", "request-1"))
    await write(store, *many)
    await write(store, *many)
    await write(store, alone)
    key = LookupKey(T0_S - T0_S % HOUR_S, ("constant", "request-1"), ())
    found = await store.find_stored([key], most_per_id=20)
    assert 20 <= len(found) <= 21
    assert alone in found
    assert len({row.rec_id for row in found}) == len(found)


async def test_what_is_kept_is_found_by_each_of_its_ids_and_by_its_name(store: Store) -> None:
    edge_half = edge("request-1", gateway_request_id="kong-captured")
    gateway_half = attempt("kong-1", "forwarded-1", "request-2")
    nameless = edge("", rec_id=77)
    halves = [edge_half, gateway_half, nameless]
    await store.keep([Fragment(T0_S, half) for half in halves])
    await store.keep([Fragment(T0_S, half) for half in halves])
    for half, key in (
        (edge_half, by_id("request-1")),
        (edge_half, LookupKey(T0_S, (), ("kong-captured",))),
        (gateway_half, by_id("forwarded-1")),
        (gateway_half, LookupKey(T0_S, ("else",), ("kong-1",))),
        (nameless, LookupKey(T0_S, (), (), (77,))),
    ):
        assert await store.find_kept([key]) == [half]
    assert await store.find_kept([by_id("request-3"), LookupKey(T0_S, (), ())]) == []


async def test_what_is_kept_is_no_row(store: Store) -> None:
    await store.keep([Fragment(T0_S, edge("request-1"))])
    assert await store.find_stored([by_id("request-1")]) == []


async def test_of_what_is_kept_under_a_constant_a_bounded_number_is_given(store: Store) -> None:
    await store.keep([Fragment(T0_S, edge("constant", rec_id=number)) for number in range(1, 200)])
    found = await store.find_kept([by_id("constant")], most_per_id=20)
    assert 20 <= len(found) <= 199


async def test_what_no_row_holds_is_not_kept_and_its_neighbours_are(store: Store) -> None:
    halves = [edge("request-1"), edge("request-2", path="\ud800"), edge("request-3")]
    await store.keep([Fragment(T0_S, half) for half in halves])
    assert len(await store.find_kept([by_id("request-1", "request-2", "request-3")])) == 2
