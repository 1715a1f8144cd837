"""Real clients, with nothing set that they would not set themselves, and one that is copied by hand."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

if TYPE_CHECKING:
    from conftest import Door, OpenDoor

GO_REVISION = 54_483
"""`client_protocol_version` that clickhouse-go 2.50 sends; any that it ever sent is above 54 454."""


@pytest.fixture(scope="module")
def client(door: Door) -> Iterator[Client]:
    host, _, port = door.address.rpartition(":")
    client = clickhouse_connect.get_client(host=host, port=int(port))
    yield client
    client.close()


def test_clickhouse_connect_knows_where_it_is(client: Client) -> None:
    assert client.server_version.startswith("26.")
    assert str(client.server_tz) == "UTC"
    assert client.ping()
    assert client.command("SELECT currentDatabase()") == "hoptrail"


def test_rows_come_as_python_values(client: Client) -> None:
    columns = "request_id, status, start_time, client_ip, flags, attrs, missing"
    sql = f"SELECT {columns} FROM lineage ORDER BY start_time LIMIT 1"
    start = dt.datetime(2026, 1, 2)  # noqa: DTZ001 -- as the client gives times of UTC
    address = ipaddress.IPv6Address("2001:db8::1")
    assert client.query(sql).result_rows == [
        ("r0", 200, start, address, ["late"], {"k": "0"}, "denied_at_edge")
    ]


@pytest.mark.parametrize("form", [False, True])
def test_parameters_are_bound_by_the_server(door: Door, form: bool) -> None:
    host, _, port = door.address.rpartition(":")
    client = clickhouse_connect.get_client(host=host, port=int(port), form_encode_query_params=form)
    hostile = "a'b\n\t\\x' OR 1 -- \r\0é"
    found = client.query(
        "SELECT {n:UInt8} + 1, {s:String}, {l:Array(String)}, {t:DateTime64(3)}",
        parameters={"n": 4, "s": hostile, "l": ["x", "y'"], "t": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)},
    )
    assert found.result_rows[0][:3] == (5, hostile, ["x", "y'"])
    client.close()


def test_long_lists_of_parameters_pass(client: Client) -> None:
    ids = [f"r{number}" for number in range(5000)]
    found = client.query(
        "SELECT count() FROM lineage WHERE request_id IN {ids:Array(String)}", parameters={"ids": ids}
    )
    assert found.result_rows == [(1000,)]


def test_no_rows_still_have_columns(client: Client) -> None:
    for sql in ("SELECT status, path FROM lineage WHERE 0", "SELECT status, path FROM lineage LIMIT 0"):
        assert client.query(sql).column_names == ("status", "path")
    assert client.query_df("SELECT status, path FROM lineage WHERE 0").empty


def test_data_frames_and_arrow_tables_are_made(client: Client) -> None:
    sql = "SELECT service, count() AS n FROM lineage GROUP BY service ORDER BY service"
    assert client.query_df(sql).to_dict("list") == {"service": ["s0", "s1"], "n": [500, 500]}
    assert client.query_arrow(sql, use_strings=True).to_pydict() == {"service": ["s0", "s1"], "n": [500, 500]}
    assert client.query_df_arrow(sql)["n"].sum() == 1000
    assert list(client.query_np("SELECT status FROM lineage LIMIT 2").shape) == [2, 1]


def test_streams_are_read_to_their_end(client: Client) -> None:
    sql = "SELECT number, toString(number) AS text FROM numbers(90000)"
    with client.query_rows_stream(sql) as rows:
        assert sum(1 for _ in rows) == 90_000
    with client.query_column_block_stream(sql) as blocks:
        assert sum(len(block[0]) for block in blocks) == 90_000
    with client.query_df_stream(sql) as frames:
        assert sum(len(frame) for frame in frames) == 90_000
    with client.query_arrow_stream(sql) as batches:
        assert sum(batch.num_rows for batch in batches) == 90_000
    assert client.raw_query(sql, fmt="CSV").count(b"\n") == 90_000


def test_settings_that_the_door_takes_may_be_sent_per_query(client: Client) -> None:
    found = client.query("SELECT toHour(toDateTime(0))", settings={"session_timezone": "Asia/Tokyo"})
    assert found.result_rows == [(9,)]
    with pytest.raises(DatabaseError, match="Timeout exceeded"):
        client.query("SELECT count() FROM system.numbers", settings={"max_execution_time": 0.1})
    with pytest.raises(clickhouse_connect.driver.exceptions.ProgrammingError, match="readonly"):
        client.query("SELECT 1", settings={"allow_ddl": 1})


def test_a_summary_comes_with_each_answer(client: Client) -> None:
    summary = client.query("SELECT request_id FROM lineage").summary
    assert summary["result_rows"] == "1000"


def test_errors_carry_their_code(client: Client) -> None:
    for sql, code in (
        ("SELECT * FROM nothing", 60),
        ("SELECT file('x')", 497),
        ("SELEC 1", 62),
        ("DROP TABLE x", 497),
    ):
        with pytest.raises(DatabaseError) as refused:
            client.command(sql)
        assert refused.value.code == code


def test_a_client_cannot_insert(client: Client) -> None:
    with pytest.raises(DatabaseError):
        client.insert("lineage_versions", [["x"]], column_names=["request_id"])
    assert client.command("SELECT count() FROM lineage") == 1000


def test_a_client_that_is_told_to_come_again_does(open_door: OpenDoor) -> None:
    door = open_door(max_concurrent=1, max_waiting=0, max_seconds=1)
    host, _, port = door.address.rpartition(":")
    client = clickhouse_connect.get_client(host=host, port=int(port), query_retries=0)
    stalled = clickhouse_connect.get_client(host=host, port=int(port), query_retries=0)
    with pytest.raises((DatabaseError, OperationalError), match="Timeout exceeded"):
        stalled.query("SELECT count() FROM system.numbers")
    assert client.query("SELECT 1").result_rows == [(1,)]
    client.close()
    stalled.close()


async def test_the_async_client_works_the_same(door: Door) -> None:
    host, _, port = door.address.rpartition(":")
    client = await clickhouse_connect.get_async_client(host=host, port=int(port))
    try:
        found = await client.query(
            "SELECT count() FROM lineage WHERE status = {s:UInt16}", parameters={"s": 200}
        )
        assert found.result_rows == [(250,)]
        assert len(await client.query_df("SELECT * FROM lineage")) == 1000
        with pytest.raises(DatabaseError, match="function file is refused"):
            await client.query("SELECT file('x')")
    finally:
        await client.close()


class Native:
    """Reads Native blocks as clickhouse-go does: block info and serialisation bytes by revision."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, count: int) -> bytes:
        taken = self.content[self.at : self.at + count]
        assert len(taken) == count
        self.at += count
        return taken

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> str:
        return self.take(self.number()).decode()

    def block(self, revision: int) -> dict[str, list[Any]]:
        if revision > 0:
            assert (self.number(), self.take(1), self.number(), self.take(4)) == (1, b"\0", 2, b"\xff" * 4)
            assert self.number() == 0
        columns, rows = self.number(), self.number()
        found: dict[str, list[Any]] = {}
        for _ in range(columns):
            name, kind = self.text(), self.text()
            if revision >= 54_454:
                assert self.take(1) == b"\0"
            read = {"String": self.text, "UInt32": lambda: int.from_bytes(self.take(4), "little")}
            read["UInt8"] = lambda: self.take(1)[0]
            found[name] = [read[kind]() for _ in range(rows)]
        return found


def go(door: Door, sql: str) -> Native:
    """Send a query as clickhouse-go does in HTTP mode."""
    params = {"default_format": "Native", "client_protocol_version": GO_REVISION, "database": "default"}
    response = door.ask(sql, headers={"Accept-Encoding": "gzip"}, **params)
    assert response.status_code == 200, response.text
    return Native(response.content)


def test_the_hello_of_clickhouse_go_brings_it_down_to_what_the_engine_writes(door: Door) -> None:
    hello = go(door, "SELECT displayName(), version(), revision(), timezone()")
    found = hello.block(GO_REVISION)
    assert hello.at == len(hello.content)
    assert found["displayName()"] == ["hoptrail"]
    assert found["version()"][0].startswith("26.")
    assert found["timezone()"] == ["UTC"]
    revision = found["revision()"][0]
    assert revision == 0
    assert go(door, "SELECT 1").block(revision) == {"1": [1]}
    assert go(door, "SELECT path FROM lineage WHERE 0").block(revision) == {"path": []}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_gets_rows_and_errors(door: Door) -> None:
    curl = ["curl", "--silent", "--show-error", "--fail-with-body", door.url]
    done = subprocess.run(
        [*curl, "--data-binary", "SELECT 1 + 1"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n"
    packed = [*curl, "--compressed", "-G", "--data-urlencode", "query=SELECT repeat('a', 5000)"]
    assert len(subprocess.run(packed, capture_output=True, text=True, check=True).stdout) == 5001
    refused = subprocess.run([*curl, "-d", "SELECT file('x')"], capture_output=True, text=True, check=False)
    assert refused.returncode == 22
    assert "function file is refused" in refused.stdout
