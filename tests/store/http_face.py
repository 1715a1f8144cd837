"""A ClickHouse-HTTP face over chDB, to write through: the same engine code behind the same protocol.

Run as `python http_face.py DIRECTORY`: prints its port, serves until its standard input ends. Not a server in
disguise: no accounts, no compression of answers. `POST /_fault?lose=N` makes it do the next N inserts and then
hang up without an answer; `?refuse=N` answers the next N requests with "too many parts"; `?delay_ms=N` waits
before each answer.

With FACE_CERT and FACE_KEY in the environment it speaks TLS, with FACE_CA only to clients whose certificate that
authority signed, with FACE_PASSWORD only to who gives it.
"""

import asyncio
import base64
import email
import os
import re
import socket
import ssl
import sys
import threading
from collections import Counter
from email.policy import HTTP

import chdb
import lz4.frame
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_NOT_SETTINGS = {
    "client_protocol_version",
    "database",
    "enable_http_compression",
    "http_headers_progress_interval_ms",
    "query",
    "query_id",
    "send_progress_in_http_headers",
    "session_id",
    "wait_end_of_query",
}
_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*\Z", re.IGNORECASE)
_INPUT = re.compile(rb"\bINSERT\b.*?\bFORMAT (JSONCompactEachRow)\n", re.DOTALL)
_NATIVE = re.compile(rb"\s*(INSERT INTO [^\n]*?) FORMAT (Native)\n", re.DOTALL)
_CODE = re.compile(r"Code: (\d+)")


class Face:
    """Answers requests, each on a handle of its own."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._keep_open = chdb.connect(directory)
        self._faults: Counter[str] = Counter()

    async def fault(self, request: Request) -> Response:
        self._faults = Counter({name: int(value) for name, value in request.query_params.items()})
        return Response()

    async def ping(self, _: Request) -> Response:
        return Response("Ok.\n")

    async def query(self, request: Request) -> Response:
        if not _is_known(request):
            return _error("Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
        params = dict(request.query_params)
        body = await request.body()
        if request.headers.get("content-encoding") == "lz4":
            body = lz4.frame.decompress(body)
        content_type = request.headers.get("content-type", "")
        if content_type.startswith("multipart/form-data"):
            params |= _form(content_type, body)
            body = b""
        sql = params.pop("query", "").encode() + b"\n" * bool(params.get("query") and body) + body
        if self._faults["refuse"]:
            self._faults["refuse"] -= 1
            return _error("Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)")
        await asyncio.sleep(self._faults["delay_ms"] / 1000)
        try:
            answer, fmt = await run_in_threadpool(self._answer, sql, params)
        except RuntimeError as error:
            return _error(str(error))
        if self._faults["lose"] and b"INSERT" in sql[:200]:
            self._faults["lose"] -= 1
            return Hangup()
        headers = {"X-ClickHouse-Format": fmt} if answer else {}
        return Response(answer, headers=headers)

    def _answer(self, sql: bytes, params: dict[str, str]) -> tuple[bytes, str]:
        handle = chdb.connect(self._directory)
        try:
            if database := params.get("database"):
                handle.query(f"USE `{database}`", "TabSeparated")
            for name, value in params.items():
                if name not in _NOT_SETTINGS and not name.startswith("param_"):
                    handle.query(f"SET {name} = '{value}'", "TabSeparated")
            bound = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
            if found := _INPUT.match(sql):
                return self._insert(handle, found[0], sql[found.end() :], _from_input)
            if found := _NATIVE.match(sql):
                return self._insert(handle, found[1], sql[found.end() :], _from_infile)
            fmt = found[1].decode() if (found := _FORMAT.search(sql)) else "TabSeparated"
            return handle.query(sql.decode(), fmt, params=bound).bytes() or b"", fmt
        finally:
            handle.close()

    @staticmethod
    def _insert(handle, head, rows, rewrite):  # noqa: ANN001, ANN205 -- chdb ships no types
        with os.fdopen(os.memfd_create("rows"), "wb") as file:
            file.write(rows)
            file.flush()
            handle.query(rewrite(head.decode(), f"/proc/self/fd/{file.fileno()}"), "TabSeparated")
        return b"", ""


def _from_input(head: str, path: str) -> str:
    head = head.replace("FROM input('", f"FROM file('{path}', 'JSONCompactEachRow', '")
    return head.removesuffix("FORMAT JSONCompactEachRow\n")


def _from_infile(head: str, path: str) -> str:
    return f"{head} FROM INFILE '{path}' FORMAT Native"


class Hangup(Response):
    """No answer at all."""

    async def __call__(self, *_: object) -> None:
        raise ConnectionAbortedError


def _is_known(request: Request) -> bool:
    wanted = os.environ.get("FACE_PASSWORD")
    _, _, given = request.headers.get("authorization", "").partition(" ")
    return wanted is None or base64.b64decode(given).decode().partition(":")[2] == wanted


def _form(content_type: str, body: bytes) -> dict[str, str]:
    message = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=HTTP)
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode()
        for part in message.iter_parts()
    }


def _error(text: str) -> Response:
    found = _CODE.search(text)
    code = found[1] if found else "1002"
    return Response(text, status_code=500, headers={"X-ClickHouse-Exception-Code": code})


def _tls() -> dict[str, object]:
    given = os.environ
    if "FACE_CERT" not in given:
        return {}
    options: dict[str, object] = {"ssl_certfile": given["FACE_CERT"], "ssl_keyfile": given["FACE_KEY"]}
    if "FACE_CA" in given:
        options |= {"ssl_ca_certs": given["FACE_CA"], "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return options


def main() -> None:
    face = Face(sys.argv[1])
    app = Starlette(
        routes=[
            Route("/_fault", face.fault, methods=["POST"]),
            Route("/ping", face.ping),
            Route("/", face.query, methods=["GET", "POST"]),
        ]
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", **_tls()))

    def end_with_parent() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server.run([listener])


if __name__ == "__main__":
    main()
