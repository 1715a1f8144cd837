"""The stand-in's log queue delivers as Kong's does."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from pipeline.demo.declared import Declared
from pipeline.demo.log_queue import open_log_queue

if TYPE_CHECKING:
    from conftest import Taker


def entries(count: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(count)]


async def test_a_batch_is_an_array_of_at_most_a_hundred_even_of_one(declared: Declared, taker: Taker) -> None:
    async with open_log_queue(declared.http_log, taker.url) as queue:
        for entry in entries(201):
            queue.put(entry)
        await queue.drained(1)
    sizes = [len(json.loads(body)) for _, body in taker.posts]
    assert sizes == [100, 100, 1]
    assert [entry["n"] for entry in taker.entries] == list(range(201))


async def test_without_batches_a_post_is_one_object(declared: Declared, taker: Taker) -> None:
    config = {**declared.http_log, "queue": {**declared.http_log["queue"], "max_batch_size": 1}}
    async with open_log_queue(config, taker.url) as queue:
        for entry in entries(3):
            queue.put(entry)
    assert [json.loads(body) for _, body in taker.posts] == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_entries_wait_for_company_no_longer_than_the_coalescing_delay(
    declared: Declared, taker: Taker
) -> None:
    async with open_log_queue(declared.http_log, taker.url) as queue:
        began = time.monotonic()
        queue.put(b'{"n":1}')
        await asyncio.sleep(0)
        queue.put(b'{"n":2}')
        await queue.drained(1)
        waited_s = time.monotonic() - began
    assert len(taker.posts) == 1
    assert waited_s >= declared.http_log["queue"]["max_coalescing_delay"] * 0.9


async def test_what_is_refused_is_sent_again_byte_for_byte_before_anything_newer(
    declared: Declared, taker: Taker
) -> None:
    taker.refuse = 3
    async with open_log_queue(declared.http_log, taker.url) as queue:
        for entry in entries(150):
            queue.put(entry)
        await queue.drained(1)
        assert (queue.posts, queue.refused, queue.sent, queue.lost) == (5, 3, 150, 0)
    assert taker.refused == [taker.posts[0][1]] * 3
    assert [entry["n"] for entry in taker.entries] == list(range(150))


async def test_after_the_longest_retry_time_a_batch_is_lost_and_counted(
    declared: Declared, taker: Taker
) -> None:
    config = {**declared.http_log, "queue": {**declared.http_log["queue"], "max_retry_time": 0.3}}
    taker.refuse = 1_000_000
    async with open_log_queue(config, taker.url) as queue:
        queue.put(b'{"n":1}')
        await queue.drained(1)
        assert (queue.sent, queue.lost) == (0, 1)
    assert len(taker.refused) > 2


async def test_a_full_queue_drops_its_oldest(declared: Declared, taker: Taker) -> None:
    config = {**declared.http_log, "queue": {**declared.http_log["queue"], "max_entries": 10}}
    async with open_log_queue(config, taker.url) as queue:
        for entry in entries(25):
            queue.put(entry)
        assert queue.lost == 15
        await queue.drained(1)
    assert [entry["n"] for entry in taker.entries] == list(range(15, 25))


async def test_the_secret_of_kong_yml_goes_along(declared: Declared, taker: Taker) -> None:
    async with open_log_queue(declared.http_log, taker.url) as queue:
        queue.put(b"{}")
    headers = dict(taker.posts[0][0])
    assert headers["x-hoptrail-secret"] == "log-secret"
    assert headers["content-type"] == "application/json"
    assert int(headers["content-length"]) == len(taker.posts[0][1])


async def test_a_held_entry_comes_after_its_time_and_leaving_sends_it_at_once(
    declared: Declared, taker: Taker
) -> None:
    async with open_log_queue(declared.http_log, taker.url) as queue:
        queue.put_later(b'{"n":"late"}', 3600.0)
        queue.put_later(b'{"n":"soon"}', 0.01)
        await taker.wait_for(1)
        assert [entry["n"] for entry in taker.entries] == ["soon"]
        assert queue.waiting >= 1
    assert [entry["n"] for entry in taker.entries] == ["soon", "late"]
    assert queue.lost == 0


async def test_a_place_where_nobody_listens_loses_nothing_until_it_is_given_up(declared: Declared) -> None:
    async with open_log_queue(declared.http_log, "http://127.0.0.1:1/ingest", flush_s=0.2) as queue:
        queue.put(b"{}")
    assert (queue.sent, queue.lost) == (0, 1)
