"""Runs an ASGI application on the loop that is already running: uvicorn without its own ideas of a process.

No signal handlers (the process has its own), no access log (requests are counted, and an URL may hold what a
log must not), no trust in `X-Forwarded-For` (the peer is whoever holds the socket). A head that is too large,
or does not come, is refused, since uvicorn itself bounds neither.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.config import TlsConfig
from pipeline.errors import ConfigError
from pipeline.listening import address_of, bound_socket

_KEEP_ALIVE_S = 75
"""Longer than the 60 s after which Kong closes an idle connection: so it is never we who close one that Kong
is about to use."""
_GRACE_S = 5
"""How long requests under way may take once the server is told to end."""
_MOST_CONNECTIONS = 1024
_HEAD_BYTES = 32 * 1024
_HEAD_LINES = 100
_HEAD_S = 20.0
"""Most bytes and lines of a request's head, and how long it may take to come (the first of a connection from
when that was made, later ones from their first byte)."""
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HttpServer:
    """A listener between `async with` and its end.

    Args:
        app: Any ASGI application; it gets no lifespan events.
        listen: `host:port`; port 0 takes a free one.
        tls: Certificate and key of an HTTPS listener, or None.
        setting: Key of the configuration that `listen` came from, for messages.

    Raises:
        ConfigError: On entering: the address is taken, or the certificate cannot be used.
    """

    def __init__(
        self, app: ASGIApp, listen: str, tls: TlsConfig | None = None, *, setting: str = "listen"
    ) -> None:
        self.address = listen
        """Where it listens; the real port once entered."""
        self._app = app
        self._tls = tls
        self._setting = setting
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        context = _tls_context(self._tls) if self._tls else None
        bound = bound_socket(self.address, socket.SOCK_STREAM, self._setting)
        self.address = address_of(bound)
        server = self._server = _Server(_configuration(self._app, context))
        self._serving = asyncio.create_task(server.serve(sockets=[bound]), name=f"http {self.address}")
        ready = asyncio.ensure_future(server.ready.wait())
        await asyncio.wait({ready, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            ready.cancel()
            self._serving.result()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving


class _Server(uvicorn.Server):
    """Uvicorn's server, which tells when it is ready and leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


class _GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's connection, with bounds on the head of a request."""

    _head_bytes = 0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._arm()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        if self._head_bytes <= _HEAD_BYTES:
            super().on_url(url)
        else:
            self._refuse()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes <= _HEAD_BYTES and len(self.headers) < _HEAD_LINES:
            super().on_header(name, value)
        else:
            self._refuse()

    def on_headers_complete(self) -> None:
        if not self.transport.is_closing():
            self._disarm()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.transport.is_closing():
            super().on_message_complete()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _arm(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(_HEAD_S, self.transport.abort)

    def _disarm(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def _configuration(app: ASGIApp, context: ssl.SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        loop="none",
        http=_GuardedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    config.load()
    config.ssl = context
    return config


def _tls_context(tls: TlsConfig) -> ssl.SSLContext:
    """Load a certificate; TLS 1.2 at least, HTTP/1.1.

    Raises:
        ConfigError: A file cannot be read, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])

    def no_password() -> str:
        raise ConfigError(f"tls.key_file {tls.key_file} has a password; give one without")

    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, no_password)
    except OSError as error:  # ssl.SSLError is one
        files = f"cert_file {tls.cert_file} with key_file {tls.key_file}"
        raise ConfigError(f"tls: cannot use {files}: {error.strerror or error}") from error
    return context
