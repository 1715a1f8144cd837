"""Kong hears 200 when its entries are kept, 503 when they cannot be, and nobody else gets in."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from pipeline.bus.journal import Journal
from pipeline.bus.memory import MemoryBus
from pipeline.clock import SystemClock
from pipeline.config import KongConfig
from pipeline.contracts import Bus
from pipeline.errors import ConfigError
from pipeline.http_server import HttpServer
from pipeline.model import Delivery, Source
from pipeline.sources import http_log
from pipeline.sources.http_log import IngestApp
from pipeline.sources.stats import SourceStats

Take = Callable[[Bus, int], Awaitable[list[Delivery]]]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
Serve = Callable[..., Any]

ENTRY = b'{"request":{"uri":"\\/a"},"started_at":1795460243518}'
SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def serve(bus: MemoryBus, clock: SystemClock, stats: SourceStats) -> Serve:
    """Serve `/ingest/kong` on a real socket; gives a client, and the address."""

    @contextlib.asynccontextmanager
    async def serving(into: Bus = bus, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
        config = KongConfig.model_validate(settings)
        app = IngestApp(config, into, clock, stats, fallback=PlainTextResponse("from the fallback"))
        async with (
            HttpServer(app, "127.0.0.1:0") as server,
            httpx.AsyncClient(base_url=f"http://{server.address}", timeout=20) as client,
        ):
            yield client

    return serving


@pytest.fixture
def refused(stats: SourceStats) -> Callable[[], dict[str, int]]:
    return lambda: dict(stats.listeners["http_log"].refused)


def received(bus: Bus) -> int:
    return bus.account().pending[Source.KONG]


async def bodies(bus: Bus) -> list[bytes]:
    return [body for delivery in await bus.read(100_000, 0.0) for body in delivery.bodies]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_one_object_is_one_record_kept_before_the_answer(
    method: str, serve: Serve, bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    before_ns = clock.now_ns()
    async with serve() as client:
        answer = await client.request(method, "/ingest/kong", content=ENTRY)
        [delivery] = await bus.read(10, 0.0)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (delivery.source, delivery.bodies, delivery.peer) == (Source.KONG, [ENTRY], "127.0.0.1")
    assert before_ns <= delivery.arrival_ns <= clock.now_ns()
    assert stats.last_arrivals_ns[Source.KONG] == delivery.arrival_ns
    assert stats.listeners["http_log"].records == 1


@pytest.mark.parametrize(
    ("body", "records"),
    [
        (b"[" + ENTRY + b"]", [ENTRY]),
        (b"[" + b",".join([ENTRY] * 100) + b"]", [ENTRY] * 100),
        (ENTRY + b"\n" + ENTRY + b"\n", [ENTRY] * 2),
        (b" \n[ " + ENTRY + b" , " + ENTRY + b" ]\n", [ENTRY] * 2),
        (b"", []),
        (b"\n", []),
        (b"[]", []),
        (b"hello", [b"hello"]),
        (b"\xff\xfe", [b"\xff\xfe"]),
    ],
    ids=["array of one", "array", "lines", "white space", "empty", "blank", "no entries", "text", "bytes"],
)
async def test_a_body_is_split_into_its_entries(
    body: bytes, records: list[bytes], serve: Serve, bus: MemoryBus
) -> None:
    async with serve() as client:
        assert (await client.post("/ingest/kong", content=body)).status_code == 200
    assert await bodies(bus) == records


@pytest.mark.parametrize(
    "poison",
    [
        b'{"request":{"uri":"\\/\xe9\xff"},"x":1}',
        b'{"request":{},"x":NaN}',
        b'{"x":"' + b"y" * 5_000_000 + b'"}',
    ],
    ids=["not UTF-8", "NaN", "5 MB field"],
)
async def test_a_poisoned_entry_costs_none_of_its_neighbours(
    poison: bytes, serve: Serve, bus: MemoryBus
) -> None:
    entries = [ENTRY.replace(b"518", b"%03d" % number) for number in range(100)]
    entries[50] = poison
    async with serve() as client:
        answer = await client.post("/ingest/kong", content=b"[" + b",".join(entries) + b"]")
    assert answer.status_code == 200
    assert await bodies(bus) == entries


async def test_what_kong_really_posts_is_kept_byte_for_byte(
    serve: Serve, bus: MemoryBus, corpus_bodies: list[bytes]
) -> None:
    async with serve() as client:
        for body in corpus_bodies[:300]:
            assert (await client.post("/ingest/kong", content=body)).status_code == 200
    assert await bodies(bus) == corpus_bodies[:300]


async def test_anything_else_goes_to_the_fallback(serve: Serve, bus: MemoryBus) -> None:
    async with serve() as client:
        for method, path in (
            ("GET", "/healthz"),
            ("POST", "/"),
            ("POST", "/ingest/kong/more"),
            ("POST", "/ingest"),
        ):
            assert (await client.request(method, path)).text == "from the fallback"
    assert received(bus) == 0


async def test_other_methods_are_told_which_ones_there_are(
    serve: Serve, refused: Callable[[], dict[str, int]]
) -> None:
    async with serve() as client:
        for method in ("GET", "DELETE", "OPTIONS"):
            answer = await client.request(method, "/ingest/kong")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST, PUT, PATCH")
    assert refused() == {"method": 3}


def basic(password: bytes, user: bytes = b"kong") -> str:
    return "Basic " + base64.b64encode(user + b":" + password).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Hoptrail-Secret": SECRET.decode()}, 200),
        ({"Authorization": basic(SECRET)}, 200),
        ({"Authorization": basic(SECRET, b"")}, 200),
        ({}, 401),
        ({"X-Hoptrail-Secret": ""}, 401),
        ({"X-Hoptrail-Secret": SECRET.decode()[:-1]}, 401),
        ({"X-Hoptrail-Secret": "\u00e9"}, 401),
        ({"Authorization": basic(b"wrong")}, 401),
        ({"Authorization": "Basic !"}, 401),
        ({"Authorization": "Basic"}, 401),
        ({"Authorization": f"Bearer {SECRET.decode()}"}, 401),
        ({"X-Hoptrail-Secret": "wrong", "Authorization": basic(SECRET)}, 401),
    ],
)
async def test_a_secret_opens_and_nothing_else_does(
    headers: dict[str, str], status: int, serve: Serve, bus: MemoryBus, tmp_path: Path,
    refused: Callable[[], dict[str, int]], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\n")
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    async with serve(secret_file=file) as client:
        answer = await client.post("/ingest/kong", content=ENTRY, headers=raw)
    assert answer.status_code == status
    assert received(bus) == (status == 200)
    assert refused() == ({} if status == 200 else {"unauthorized": 1})
    assert SECRET.decode() not in caplog.text + answer.text


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        (b"short\n", "needs 16 or more"),
        (b"\xe9" * 20, "printable ASCII"),
        (b"", "0 bytes"),
    ],
)
def test_a_secret_that_is_none_is_refused_at_start(
    content: bytes | None, fault: str, tmp_path: Path, bus: MemoryBus, clock: SystemClock, stats: SourceStats
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=fault):
        IngestApp(KongConfig(secret_file=file), bus, clock, stats, fallback=PlainTextResponse(""))


async def chunked(size: int, piece: bytes = b"x" * 1000) -> AsyncIterator[bytes]:
    for _ in range(size // len(piece)):
        yield piece


@pytest.mark.parametrize("announced", [True, False], ids=["with a length", "chunked"])
async def test_a_body_above_the_limit_is_refused_and_not_kept(
    announced: bool, serve: Serve, bus: MemoryBus, refused: Callable[[], dict[str, int]]
) -> None:
    async with serve(max_body_bytes=100_000) as client:
        content = b"x" * 150_000 if announced else chunked(150_000)
        answer = await client.post("/ingest/kong", content=content)
        assert (answer.status_code, answer.text) == (413, "larger than 100000 bytes\n")
        assert (await client.post("/ingest/kong", content=ENTRY)).status_code == 200
    assert await bodies(bus) == [ENTRY]
    assert refused() == {"too_large": 1}


@pytest.mark.parametrize("content", [b"x" * 100_000, chunked(100_000)], ids=["with a length", "chunked"])
async def test_a_body_of_just_the_limit_is_taken(
    content: bytes | AsyncIterator[bytes], serve: Serve, bus: MemoryBus
) -> None:
    async with serve(max_body_bytes=100_000) as client:
        assert (await client.post("/ingest/kong", content=content)).status_code == 200
    assert await bodies(bus) == [b"x" * 100_000]


async def test_a_chunked_body_above_the_limit_that_comes_in_one_piece_is_refused(
    serve: Serve, bus: MemoryBus, refused: Callable[[], dict[str, int]]
) -> None:
    async with serve(max_body_bytes=2000) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (5000, b"x" * 5000)
        writer.write(b"POST /ingest/kong HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + body)
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()
    assert refused() == {"too_large": 1}
    assert received(bus) == 0


async def test_an_endless_body_is_cut_off_and_takes_no_memory(
    serve: Serve, bus: MemoryBus, refused: Callable[[], dict[str, int]], eventually: Eventually
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b"x" * 65_536

    async with serve(max_body_bytes=100_000) as client:
        with contextlib.suppress(httpx.TransportError):  # cut off before it listened
            assert (await client.post("/ingest/kong", content=endless())).status_code == 413
        await eventually(lambda: refused() == {"too_large": 1})
    assert received(bus) == 0
    assert sent < 50_000_000  # the buffers of the kernel between us, not what it would have sent


async def test_a_client_that_waits_for_leave_to_send_is_refused_without_it(
    serve: Serve, refused: Callable[[], dict[str, int]]
) -> None:
    async with serve(max_body_bytes=2000) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"POST /ingest/kong HTTP/1.1\r\ncontent-length: 9999\r\nexpect: 100-continue\r\n\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    assert refused() == {"too_large": 1}


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(
    serve: Serve, bus: MemoryBus, refused: Callable[[], dict[str, int]], eventually: Eventually
) -> None:
    async with serve() as client:
        for framing in (
            b"content-length: 99\r\n\r\n" + ENTRY,
            b"transfer-encoding: chunked\r\n\r\n5\r\n{}\n{}\r\n",
        ):
            before = sum(refused().values())
            _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
            writer.write(b"POST /ingest/kong HTTP/1.1\r\n" + framing)
            await writer.drain()
            writer.close()
            await eventually(lambda count=before: sum(refused().values()) == count + 1)
    assert refused() == {"client_left": 2}
    assert received(bus) == 0


async def test_a_body_that_does_not_come_is_not_waited_for(
    serve: Serve, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch, refused: Callable[[], dict[str, int]]
) -> None:
    monkeypatch.setattr(http_log, "_BODY_S", 0.05)
    monkeypatch.setattr(http_log, "_REFUSED_BODY_S", 0.05)
    async with serve() as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"POST /ingest/kong HTTP/1.1\r\ncontent-length: 99\r\n\r\n{")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()
    assert refused() == {"too_slow": 1}
    assert received(bus) == 0


async def test_a_compressed_body_is_refused_with_the_cure(
    serve: Serve, bus: MemoryBus, refused: Callable[[], dict[str, int]]
) -> None:
    async with serve() as client:
        answer = await client.post("/ingest/kong", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 415
        assert "without Content-Encoding" in answer.text
        plain = await client.post("/ingest/kong", content=ENTRY, headers={"Content-Encoding": "identity"})
        assert plain.status_code == 200
    assert refused() == {"encoding": 1}
    assert await bodies(bus) == [ENTRY]


async def test_a_page_in_a_browser_cannot_post(
    serve: Serve, bus: MemoryBus, refused: Callable[[], dict[str, int]]
) -> None:
    async with serve() as client:
        for headers in (
            {"Origin": "http://example.com"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert (await client.post("/ingest/kong", content=ENTRY, headers=headers)).status_code == 403
    assert refused() == {"from_browser": 3}
    assert received(bus) == 0


async def test_a_full_journal_is_told_and_taken_up_again(
    full_journal: Journal, serve: Serve, empty: Callable[[Bus], Awaitable[None]], take: Take,
    refused: Callable[[], dict[str, int]],
) -> None:  # fmt: skip
    body = b"[" + b",".join([ENTRY] * 1000) + b"]"
    async with serve(into=full_journal) as client:
        answer = await client.post("/ingest/kong", content=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        await empty(full_journal)
        assert (await client.post("/ingest/kong", content=body)).status_code == 200
        [delivery] = await take(full_journal, 1000)
    assert delivery.bodies == [ENTRY] * 1000
    assert refused() == {"bus_full": 1}


async def test_posts_of_many_workers_at_once_are_all_kept_whole(serve: Serve, bus: MemoryBus) -> None:
    def batch(worker: int) -> bytes:
        return json.dumps(
            [{"worker": worker, "entry": entry, "pad": "x" * 3000} for entry in range(50)]
        ).encode()

    async with serve() as client:
        answers = await asyncio.gather(
            *(client.post("/ingest/kong", content=batch(worker)) for worker in range(40))
        )
    assert {answer.status_code for answer in answers} == {200}
    deliveries = await bus.read(100_000, 0.0)
    found = [[(entry["worker"], entry["entry"]) for entry in map(json.loads, d.bodies)] for d in deliveries]
    assert sorted(found) == [[(worker, entry) for entry in range(50)] for worker in range(40)]


async def test_large_bodies_wait_for_each_other_and_small_ones_for_none(
    serve: Serve, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_log, "_LARGE_AT_ONCE", 1)
    head = b"POST /ingest/kong HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serve() as client:
        host, port = client.base_url.host, client.base_url.port
        first, first_writer = await asyncio.open_connection(host, port)
        first_writer.write(head + b"2\r\n[1\r\n")
        assert (await client.get("/")).status_code == 200  # a round trip: the first is being read
        second, second_writer = await asyncio.open_connection(host, port)
        second_writer.write(head + b"3\r\n[2]\r\n0\r\n\r\n")
        assert (await client.post("/ingest/kong", content=b"[3]")).status_code == 200
        assert await bodies(bus) == [b"3"]
        first_writer.write(b"1\r\n]\r\n0\r\n\r\n")
        for reader, writer in ((first, first_writer), (second, second_writer)):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            writer.close()
    assert await bodies(bus) == [b"1", b"2"]


async def test_more_large_bodies_than_are_held_at_once_all_pass(
    serve: Serve, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_log, "_LARGE_BYTES", 10_000)
    monkeypatch.setattr(http_log, "_LARGE_AT_ONCE", 2)
    async with serve() as client:
        answers = await asyncio.gather(
            *(
                client.post("/ingest/kong", content=chunked(500_000, b"%02d" % number * 500))
                for number in range(10)
            )
        )
    assert [answer.status_code for answer in answers] == [200] * 10
    assert sorted(await bodies(bus)) == [b"%02d" % number * 250_000 for number in range(10)]
