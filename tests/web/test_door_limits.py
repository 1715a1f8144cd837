"""No query takes more than it may, and none makes another wait for ever."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Door, OpenDoor

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
MANY = "SELECT number FROM numbers(1001)"
DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def narrow(open_door: OpenDoor) -> Door:
    return open_door(
        max_rows=1000,
        max_bytes=2**20,
        max_seconds=2,
        max_memory_bytes=2**27,
        max_threads=1,
        max_concurrent=2,
        max_waiting=1,
        max_wait_s=0.3,
        max_query_bytes=4096,
    )


def until(is_so: Callable[[], bool]) -> None:
    """Ask again until it is so, or the test has waited long enough."""
    end = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def code(door: Door, sql: str, **params: object) -> int:
    response = door.ask(sql, **params)
    return int(response.headers.get("X-ClickHouse-Exception-Code", 0))


def test_an_answer_has_no_more_rows_than_it_may(narrow: Door) -> None:
    assert code(narrow, "SELECT number FROM numbers(1000)") == 0
    assert code(narrow, MANY) == 396


def test_a_client_may_lower_a_limit_and_never_raise_it(narrow: Door) -> None:
    assert code(narrow, "SELECT number FROM numbers(11)", max_result_rows=10) == 396
    assert code(narrow, "SELECT number FROM numbers(11) SETTINGS max_result_rows = 10") == 396
    for raised in (0, 10**9):
        assert code(narrow, MANY, max_result_rows=raised) == 396
        assert code(narrow, f"{MANY} SETTINGS max_result_rows = {raised}") == 396
        assert (
            narrow.text("SELECT value FROM system.settings WHERE name = 'max_threads'", max_threads=raised)
            == "1\n"
        )


def test_a_client_may_ask_for_what_fits(narrow: Door) -> None:
    text = narrow.text("SELECT number FROM numbers(100000)", result_overflow_mode="break", max_block_size=10)
    assert text.startswith("0\n1\n")


def test_an_answer_has_no_more_bytes_than_it_may(narrow: Door) -> None:
    assert code(narrow, "SELECT repeat('a', 10000) FROM numbers(50)") == 0
    assert code(narrow, "SELECT repeat('a', 10000) FROM numbers(200)") == 396


@pytest.mark.parametrize(
    "sql",
    [
        ENDLESS,
        f"SELECT ({ENDLESS})",
        f"SELECT ({ENDLESS}), ({ENDLESS})",
        f"SELECT 1 IN ({ENDLESS})",
        "SELECT count() FROM system.numbers",
        "SELECT count() FROM numbers(100000) AS a, numbers(100000) AS b, numbers(100000) AS c",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) SELECT count() FROM t",
    ],
)
def test_a_query_ends_when_its_time_is_up(narrow: Door, sql: str) -> None:
    began = time.monotonic()
    response = narrow.ask(sql)
    assert response.headers["X-ClickHouse-Exception-Code"] in {"159", "306"}, response.text
    assert response.status_code in {408, 500}
    assert time.monotonic() - began < 8


def test_a_client_may_be_less_patient(narrow: Door) -> None:
    began = time.monotonic()
    assert code(narrow, ENDLESS, max_execution_time=0.2) == 159
    assert time.monotonic() - began < 1.8


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT groupArray(number) FROM numbers(100000000)",
        "SELECT length(repeat('a', 1000000000))",
        "SELECT uniqExact(number) FROM numbers(100000000)",
        "SELECT number FROM numbers(100000000) ORDER BY sipHash64(number) LIMIT 10 OFFSET 90000000",
        "SELECT arrayMap(x -> range(10000), range(100000))",
    ],
)
def test_a_query_takes_no_more_memory_than_it_may(narrow: Door, sql: str) -> None:
    assert code(narrow, sql) == 241


def test_a_long_query_is_refused_before_it_is_read(narrow: Door) -> None:
    for response in (
        narrow.ask("SELECT 1 " + " " * 5000),
        narrow.ask("SELECT 1" + " " * 10**7),
        narrow.ask("SELECT {p:String}", param_p="x" * 5000),
        narrow.ask("SELECT 1", **{f"param_p{n}": "x" for n in range(300)}),
    ):
        assert (response.status_code, response.headers["X-ClickHouse-Exception-Code"]) == (413, "223")


@pytest.mark.parametrize(
    "opening", ["(", "[", "-(", "NOT ", "abs(", "(SELECT ", "tuple(", "CASE WHEN 1 THEN "]
)
def test_a_deep_query_is_an_error_and_no_more(door: Door, opening: str) -> None:
    closing = {"(": ")", "[": "]", "C": " END"}.get(opening[-1 if opening[0] != "C" else 0], "")
    for depth in (200, 2000, 20_000):
        door.ask("SELECT " + opening * depth + "1" + closing * depth)
    assert door.text("SELECT 1") == "1\n"


def test_further_queries_wait_a_little_and_then_are_told_to_come_again(narrow: Door) -> None:
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(narrow.ask, ENDLESS) for _ in range(2)]
        until(lambda: narrow.ask("SELECT 1").status_code == 503 or all(job.done() for job in running))
        assert not any(job.done() for job in running)
        told = narrow.ask("SELECT 1")
        assert (told.status_code, told.headers["X-ClickHouse-Exception-Code"]) == (503, "202")
        assert told.headers["Retry-After"] == "1"
        assert [job.result().status_code for job in running] == [408, 408]
    until(lambda: narrow.ask("SELECT 1").status_code == 200)


def test_a_query_of_a_client_that_left_is_killed(open_door: OpenDoor) -> None:
    door = open_door(max_seconds=600, max_concurrent=1, max_wait_s=0.3)
    host, _, port = door.address.rpartition(":")
    with socket.create_connection((host, int(port))) as peer:
        head = f"POST / HTTP/1.1\r\nHost: {door.address}\r\nContent-Length: {len(ENDLESS)}\r\n\r\n"
        peer.sendall(head.encode() + ENDLESS.encode())
        until(lambda: door.ask("SELECT 1").status_code == 503)
    until(lambda: door.ask("SELECT 1").status_code == 200)
    assert "status=499" in door.log


def test_a_stop_does_not_wait_for_the_queries_that_run(open_door: OpenDoor) -> None:
    door = open_door(max_seconds=600, max_concurrent=1, max_waiting=0)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(door.ask, ENDLESS)
        until(lambda: door.ask("SELECT 1").status_code == 503)
        assert door.process.communicate(timeout=60)
        assert door.process.returncode == 0
        assert running.exception() is not None or running.result().status_code >= 500
