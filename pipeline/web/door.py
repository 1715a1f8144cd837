"""I/O: the read-only door: ClickHouse's HTTP protocol over the embedded engine.

`GET|POST /` runs a query, `/ping` and `/replicas_status` say "Ok.". `door_guard` judges what may be asked,
`door_accounts` by whom, `door_settings` and `door_slots` how much. Answers are made whole, then sent.

*Pressure.* So many queries run, so many wait; the next gets 503 and is told when to come again.

*Leaving.* A client that goes away has its query killed; a query that cannot be killed ends by its time limit.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import zstandard
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline.config import DoorConfig
from pipeline.web.door_accounts import Accounts, Caller
from pipeline.web.door_engine import Answer, DoorEngine, OpenHandle
from pipeline.web.door_formats import CONTENT_TYPES, DEFAULT_FORMAT
from pipeline.web.door_guard import Statement
from pipeline.web.door_refusal import DoorRefusal
from pipeline.web.door_request import Ask, read_ask
from pipeline.web.door_slots import Slots

_log = logging.getLogger(__name__)

_OUR_CODES = (164, 497)
_LOGGED_CHARACTERS = 300
_WORTH_COMPRESSING = 1024
_HEADERS = {
    "X-ClickHouse-Server-Display-Name": "hoptrail",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_Done = tuple[Statement, Answer, tuple[str, bytes]]
"""A query that was answered; with its body's encoding and the body so encoded."""
_CLIENT_LEFT = 499
"""What the log says where nobody was there to be answered."""


def door_app(
    open_handle: OpenHandle,
    config: DoorConfig,
    *,
    database: str = "hoptrail",
    own_password: str | None = None,
) -> ASGIApp:
    """Build the application.

    Args:
        open_handle: Gives a new handle on the open engine, such as `chdb.connect(path)` does.
        config: Accounts and limits.
        database: The one whose tables may be read; it must exist.
        own_password: Where there are accounts, the password of one more, `hoptrail`, for this process's own
            reading commands.

    Raises:
        ConfigError: A password cannot be read, or is too short.
    """
    door = _Door(open_handle, config, database, own_password)

    return Starlette(
        routes=[
            Route("/", door.root, methods=["GET", "HEAD", "POST"]),
            Route("/ping", door.ping, methods=["GET", "HEAD"]),
            Route("/replicas_status", door.ping, methods=["GET", "HEAD"]),
        ]
    )


class _Door:
    def __init__(
        self, open_handle: OpenHandle, config: DoorConfig, database: str, own_password: str | None
    ) -> None:
        self._config = config
        self._database = database
        self._accounts = Accounts(config, own_password)
        self._engine = DoorEngine(open_handle, database)
        self._slots = Slots(config.max_concurrent, config.max_waiting, config.max_wait_s)
        self._threads = ThreadPoolExecutor(config.max_concurrent, thread_name_prefix="door")

    async def ping(self, _: Request) -> Response:
        """Alive: the loop answers."""
        return PlainTextResponse("Ok.\n", headers=_HEADERS)

    async def root(self, request: Request) -> Response:
        """Answer a query."""
        if request.method != "POST" and "query" not in request.query_params:
            return PlainTextResponse("Ok.\n", headers=_HEADERS)
        record: dict[str, Any] = {"began": time.perf_counter(), "account": "-", "sql": ""}
        try:
            response = await self._answer(request, record)
        except DoorRefusal as refusal:
            # The engine's own words repeat pieces of the query, literals cut anywhere; ours never do.
            words = f"{refusal.name}: {refusal}" if refusal.code in _OUR_CODES else refusal.name
            record |= {"status": refusal.status, "refused": words}
            response = _refused(refusal)
        except ClientDisconnect:
            record |= {"status": _CLIENT_LEFT}
            response = Response(status_code=_CLIENT_LEFT)
        finally:
            _write_down(record)
        return response

    async def _answer(self, request: Request, record: dict[str, Any]) -> Response:
        caller = self._accounts.identify(request.headers)
        record["account"] = caller.name
        ask = await read_ask(request, self._config.max_query_bytes)
        record["sql"] = ask.asked.sql
        if ask.database not in {"", "default", self._database}:
            raise DoorRefusal(81, "UNKNOWN_DATABASE", f"Database {ask.database[:64]} does not exist")
        statement, answer, (encoding, body) = await self._run(request, caller, ask)
        record |= {"status": 200, "rows": answer.rows, "bytes": len(answer.body), "sql": statement.canonical}
        headers = _answer_headers(answer, ask.query_id)
        if encoding:
            headers |= {"Content-Encoding": encoding, "Vary": "Accept-Encoding"}
        return Response(body, headers=headers)

    async def _run(self, request: Request, caller: Caller, ask: Ask) -> _Done:
        """Run a query in its turn, on a thread; if the client leaves or the server stops, kill it."""
        token = secrets.token_hex(16)
        wanted = request.headers.get("accept-encoding", "") if ask.is_compression_wanted else ""

        def work() -> _Done:
            statement, answer = self._engine.answer(ask.asked, caller.limits, token, DEFAULT_FORMAT)
            return statement, answer, _compressed(answer.body, wanted)

        end = await self._slots.take(caller)
        loop = asyncio.get_running_loop()
        job: asyncio.Future[_Done] = loop.run_in_executor(self._threads, work)
        job.add_done_callback(lambda _: end())  # not before: a thread that goes on keeps its turn
        left = asyncio.create_task(_client_left(request))
        awaited: list[asyncio.Future[Any]] = [job, left]
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if not job.done():
                raise ClientDisconnect
            return job.result()
        finally:
            left.cancel()
            if not job.done():
                job.add_done_callback(_look_away)
                loop.run_in_executor(None, self._kill, token)

    def _kill(self, token: str) -> None:
        try:
            self._engine.kill(token)
        except DoorRefusal as refusal:
            _log.warning("a query could not be killed, it ends by its time limit: %s", refusal)


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _look_away(job: asyncio.Future[Any]) -> None:
    """Take an outcome that nobody waits for any more."""
    if not job.cancelled():
        job.exception()


def _compressed(body: bytes, accepted: str) -> tuple[str, bytes]:
    """Compress an answer as its client likes it; the empty encoding is none."""
    names = {item.partition(";")[0].strip().lower() for item in accepted.split(",")}
    if len(body) < _WORTH_COMPRESSING:
        return "", body
    if "zstd" in names:
        return "zstd", zstandard.ZstdCompressor(level=1).compress(body)
    if "gzip" in names:
        return "gzip", gzip.compress(body, compresslevel=1)
    return "", body


def _answer_headers(answer: Answer, query_id: str) -> dict[str, str]:
    summary = {
        "read_rows": str(answer.read_rows),
        "read_bytes": str(answer.read_bytes),
        "written_rows": "0",
        "written_bytes": "0",
        "total_rows_to_read": "0",
        "result_rows": str(answer.rows),
        "result_bytes": str(len(answer.body)),
        "elapsed_ns": str(answer.elapsed_ns),
    }
    return {
        **_HEADERS,
        "Content-Type": CONTENT_TYPES[answer.format],
        "X-ClickHouse-Format": answer.format,
        "X-ClickHouse-Timezone": answer.time_zone,
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Summary": orjson.dumps(summary).decode(),
    }


def _refused(refusal: DoorRefusal) -> Response:
    headers = {**_HEADERS, "X-ClickHouse-Exception-Code": str(refusal.code)}
    if refusal.status == 401:  # noqa: PLR2004 -- HTTP's own number
        headers["WWW-Authenticate"] = 'Basic realm="hoptrail"'
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    return PlainTextResponse(refusal.text, status_code=refusal.status, headers=headers)


def _write_down(record: dict[str, Any]) -> None:
    """Log one line a query: who, how long, how much, why not.

    Its text is cut and without its literals, in which somebody may look for a secret; never parameters or results.
    """
    _log.info(
        "query account=%s status=%s ms=%.1f rows=%s bytes=%s refused=%s sql=%s",
        record["account"],
        record.get("status", "-"),
        (time.perf_counter() - record["began"]) * 1e3,
        record.get("rows", "-"),
        record.get("bytes", "-"),
        _one_line(record.get("refused", "-")),
        _one_line(_without_literals(record["sql"])),
    )


_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*(?:'|$)|\$(\w*)\$.*?(?:\$\1\$|$)", re.DOTALL)
"""A string, or a heredoc; one without an end reaches to the end of the text."""


def _without_literals(text: str) -> str:
    return _LITERAL.sub("'…'", text)


def _one_line(text: str) -> str:
    """Cut text, with everything escaped that could end a line or colour a terminal."""
    cut = text if len(text) <= _LOGGED_CHARACTERS else text[:_LOGGED_CHARACTERS] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
