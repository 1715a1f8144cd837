"""I/O: a client of the store, on a thread of its own.

clickhouse-connect blocks, and the embedded engine serves one client from one thread at a time; the
interpreter's lock is free while it works.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import chdb
import clickhouse_connect
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import Error

from pipeline.errors import ConfigError
from pipeline.store.dsn import Dsn

_T = TypeVar("_T")
_CONNECT_S, _ANSWER_S = 5, 120
_PID = re.compile(r"\bPID[: ]+(\d+)", re.IGNORECASE)


def open_client(dsn: Dsn) -> Client:
    """Connect; the database must exist.

    Raises:
        ConfigError: The embedded engine's directory is locked or damaged, or the server refuses.
    """
    try:
        if dsn.directory is not None:
            return clickhouse_connect.get_client(dsn=f"chdb://{dsn.directory}", database=dsn.database)
        files: dict[str, Any] = dict(dsn.files)
        return clickhouse_connect.get_client(
            host=dsn.host,
            port=dsn.port,
            secure=dsn.secure,
            username=dsn.user,
            password=dsn.password,
            database=dsn.database,
            autogenerate_session_id=False,
            connect_timeout=_CONNECT_S,
            send_receive_timeout=_ANSWER_S,
            **files,
        )
    except Error as error:
        raise ConfigError(_in_words(dsn, error)) from error


def make_database(dsn: Dsn) -> None:
    """Make our database where there is none; a server's may be made by its administrator beforehand.

    Raises:
        ConfigError: As `open_client`.
    """
    if dsn.directory is not None:
        dsn.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    client = open_client(
        Dsn("default", dsn.directory, dsn.host, dsn.port, dsn.secure, dsn.user, dsn.password, dsn.files)
    )
    try:
        engine = " ENGINE = Atomic" if dsn.directory is not None else ""
        client.command(f"CREATE DATABASE IF NOT EXISTS `{dsn.database.replace('`', '')}`{engine}")
    except Error as error:
        raise ConfigError(_in_words(dsn, error)) from error
    finally:
        client.close()


def open_handle(dsn: Dsn) -> Any:  # noqa: ANN401 -- chdb ships no types
    """Give a new raw handle on the embedded engine that this process has open, its database chosen."""
    handle = chdb.connect(str(dsn.directory))  # type: ignore[no-untyped-call] # chdb ships no types
    handle.query(f"USE `{dsn.database}`")
    return handle


class StoreThread:
    """A client between `async with` and its end; calls go one after another."""

    def __init__(self, dsn: Dsn) -> None:
        self._dsn = dsn
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._client: Client | None = None

    async def __aenter__(self) -> Self:
        self._client = await self.call(lambda: open_client(self._dsn))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self.call(client.close)
        self._thread.shutdown()

    async def call(self, act: Callable[[], _T]) -> _T:
        """Run something on the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    async def with_client(self, act: Callable[[Client], _T]) -> _T:
        """Run something with the client, on the thread."""
        client = self._client
        if client is None:
            raise RuntimeError("the store is closed")
        return await self.call(lambda: act(client))


def _in_words(dsn: Dsn, error: Exception) -> str:
    text = str(error).partition("\n")[0][:300]
    if "Cannot lock" in text or "already running" in text:
        holder = _holder(dsn.directory)
        return f"{dsn.shown} is in use by another process{holder}; stop it, or name another store"
    return f"{dsn.shown} cannot be opened: {text}"


def _holder(directory: Path | None) -> str:
    """Name the process that holds an embedded store, as the engine wrote it beside its data."""
    try:
        status = (directory / "status").read_text(encoding="utf-8", errors="replace") if directory else ""
    except OSError:
        return ""
    found = _PID.search(status)
    return f" (pid {found[1]})" if found else ""
