"""How long Kong waits for an answer: posts of 1 and of 100 captured entries, through the socket, to the disk.

One client in another process posts over one connection, as one worker of Kong does. The process that answers
is idle; or parses entries on another thread without pause, by the interpreter's switch interval; or inserts
into an embedded ClickHouse without pause (20,000 rows at a time, synced) on another thread; or both. "Without
ASGI" is the least that httptools can do, for what uvicorn costs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import clickhouse_connect
import httptools
from starlette.responses import PlainTextResponse

from pipeline.addresses import split_address
from pipeline.bus.journal import Journal, open_journal
from pipeline.clock import SystemClock
from pipeline.config import KongConfig
from pipeline.formats.kong import KongParser
from pipeline.formats.kong_split import split_body
from pipeline.formats.redact import Redactor
from pipeline.http_server import HttpServer
from pipeline.interpreter import stand_back, tune
from pipeline.listening import address_of
from pipeline.model import Delivery, Source
from pipeline.sources.http_log import IngestApp
from pipeline.sources.stats import SourceStats

CAPTURE = Path(__file__).parents[1] / "tests" / "captures" / "kong" / "corpus" / "kong.jsonl"
POSTS, PAUSE_S, CAP = 300, 0.003, 2**30
INTERVALS_S = (0.005, 0.0005, 0.0002)
"""Switch intervals: Python's own, a shorter one, and the one that `hoptrail serve` sets."""
Load = Callable[[threading.Event], None]


def entries() -> list[bytes]:
    """Give 100 captured entries, of 2 to 3 kB."""
    lines = CAPTURE.read_bytes().splitlines()[:100]
    posts = [json.loads(line) for line in lines]
    return [
        base64.b64decode(post["body_b64"]) if "body_b64" in post else post["body"].encode() for post in posts
    ]


def post(address: str, count: int) -> None:
    """Post again and again; prints each answer's time in milliseconds."""
    body = entries()[0] if count == 1 else b"[" + b",".join(entries()[:count]) + b"]"
    request = (
        b"POST /ingest/kong HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )
    times = []
    with socket.create_connection(split_address(address)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(POSTS):
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            connection.sendall(request)
            answer = connection.recv(65_536)
            times.append((time.perf_counter() - began) * 1e3)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
    print(json.dumps(times))


def parse_without_pause(ending: threading.Event) -> None:
    """Parse entries, as the engine does behind a backlog."""
    stand_back(5)
    parser, bodies = KongParser(redactor=Redactor(b"a key for a benchmark")), entries()
    while not ending.is_set():
        for offset, body in enumerate(bodies):
            parser.parse(body, offset=offset, arrival_ns=0, peer="")


def insert_without_pause(ending: threading.Event) -> None:
    """Insert into an embedded store, each batch synced, as the store's thread does."""
    stand_back(10)
    with TemporaryDirectory() as directory:
        client = clickhouse_connect.get_client(dsn=f"chdb://{directory}/store")
        client.command("CREATE DATABASE bench ENGINE = Atomic")
        columns = [f"c{number}" for number in range(20)]
        fields = ", ".join(f"{name} String" for name in columns)
        client.command(
            f"CREATE TABLE bench.rows ({fields}) ENGINE = MergeTree ORDER BY c0 "
            "SETTINGS fsync_after_insert = 1"
        )
        rows = [[f"{name} of row {row}" for row in range(20_000)] for name in columns]
        while not ending.is_set():
            client.insert(
                "rows", rows, database="bench", column_names=columns,
                column_type_names=["String"] * len(columns), column_oriented=True,
            )  # fmt: skip
        client.close()


@contextmanager
def running(*loads: Load) -> Iterator[None]:
    """Run loads on threads of their own."""
    ending = threading.Event()
    threads = [threading.Thread(target=load, args=(ending,)) for load in loads]
    for thread in threads:
        thread.start()
    if insert_without_pause in loads:
        time.sleep(3)  # the engine takes a second or two to load
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()


@asynccontextmanager
async def ours(journal: Journal) -> AsyncIterator[str]:
    """Serve as the program does."""
    app = IngestApp(KongConfig(), journal, SystemClock(), SourceStats(), fallback=PlainTextResponse(""))
    async with HttpServer(app, "127.0.0.1:0") as server:
        yield server.address


class BareProtocol(asyncio.Protocol):
    """The least that can answer: httptools, no ASGI, no checks."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._pieces: list[bytes] = []
        self._answering: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # TCP gives one
        """Begin."""
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Gather the body."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Answer on a task of its own."""
        task = asyncio.ensure_future(self._answer(b"".join(self._pieces)))
        self._pieces = []
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, body: bytes) -> None:
        await self._journal.append(Delivery(Source.KONG, split_body(body), time.time_ns(), "127.0.0.1"))
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


@asynccontextmanager
async def bare(journal: Journal) -> AsyncIterator[str]:
    """Serve without ASGI."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BareProtocol(journal), "127.0.0.1", 0)
    try:
        yield address_of(server.sockets[0])
    finally:
        server.close()


async def answers(address: str, count: int) -> tuple[list[float], float]:
    """Post from another process; gives the sorted times, and this process's milliseconds a post."""
    before_s = time.process_time()
    client = await asyncio.create_subprocess_exec(
        sys.executable, __file__, address, str(count), stdout=subprocess.PIPE
    )
    printed, _ = await client.communicate()
    used_s = time.process_time() - before_s
    return sorted(json.loads(printed)), used_s / POSTS * 1e3


async def measure(
    name: str, *loads: Load, interval_s: float = INTERVALS_S[-1], without_asgi: bool = False
) -> None:
    """Print the answer times of both sizes beside some loads."""
    sys.setswitchinterval(interval_s)
    serve = bare if without_asgi else ours
    with TemporaryDirectory() as directory:
        async with open_journal(Path(directory), CAP) as journal, serve(journal) as address:
            with running(*loads):
                for count in (1, 100):
                    times, used_ms = await answers(address, count)
                    median, p99 = statistics.median(times), times[int(len(times) * 0.99)]
                    used = "" if loads else f", {used_ms:.2f} ms of processor a post"
                    print(
                        f"{name:36} {count:3} entries: {median:5.2f} ms at the median, {p99:5.2f} p99{used}"
                    )


async def main() -> None:
    """Print everything."""
    tune()
    await measure("idle")
    await measure("idle, without ASGI", without_asgi=True)
    for interval_s in INTERVALS_S:
        switching = f"switching {interval_s * 1e3:g} ms"
        await measure(f"a thread parses, {switching}", parse_without_pause, interval_s=interval_s)
    await measure("a thread inserts", insert_without_pause)
    await measure("a thread parses, another inserts", parse_without_pause, insert_without_pause)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        post(sys.argv[1], int(sys.argv[2]))
    else:
        asyncio.run(main())
