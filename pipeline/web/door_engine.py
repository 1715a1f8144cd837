"""I/O: one query on the embedded engine: fresh handles, limits, then read-only, then closed.

*Isolation.* What a query may set lives in its handle and dies with it. A handle is made read-only before it
sees a byte of the client's, and cannot be made otherwise again.

*Memory.* The engine makes an answer whole before it gives it; the limits on rows and bytes bound it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple, Protocol

import orjson

from pipeline.web.door_formats import check_format, empty_block, hello_block
from pipeline.web.door_guard import Statement, inspect
from pipeline.web.door_refusal import from_engine, malformed, too_long
from pipeline.web.door_settings import Limits, engine_settings


class Result(Protocol):
    """An answer of the engine."""

    def bytes(self) -> bytes:
        """Give it in the format that was asked for."""
        ...

    def rows_read(self) -> int:
        """Count its rows."""
        ...

    def storage_rows_read(self) -> int:
        """Count the rows that were read for it."""
        ...

    def storage_bytes_read(self) -> int:
        """Count the bytes that were read for it."""
        ...


class Handle(Protocol):
    """A connection to the open engine, such as `chdb.connect(path)` gives; used by one thread."""

    def query(self, query: str, format: str = ..., params: Mapping[str, str] | None = ...) -> Result:  # noqa: A002
        """Run a statement; raises a RuntimeError with the engine's words."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


OpenHandle = Callable[[], Handle]
"""Gives a new handle on the engine that this process has open; called from any thread, 0.3 ms."""

_CHECK_BYTES = 16 * 2**20
"""Most bytes that the engine may say about a query."""

_REMEMBERED, _REMEMBERED_CHARACTERS = 500, 16 * 2**10
"""Queries that were allowed and need not be judged again, and the longest of them."""

_ALWAYS = {
    "allow_ddl": "0",
    "allow_introspection_functions": "0",
    "enable_analyzer": "1",
    "implicit_select": "0",
    "log_queries": "0",
    "use_query_cache": "0",
    "timeout_overflow_mode": "throw",
    "max_ast_depth": "1000",
    "max_ast_elements": "20000",
    "max_expanded_ast_elements": "100000",
    "max_subquery_depth": "50",
    "max_recursive_cte_evaluation_depth": "1000",
    # An answer that does not fit into its memory fails; it does not fill the store's disk instead.
    "max_bytes_before_external_group_by": "0",
    "max_bytes_ratio_before_external_group_by": "0",
    "max_bytes_before_external_sort": "0",
    "max_bytes_ratio_before_external_sort": "0",
}


class Asked(NamedTuple):
    """What a client wants."""

    sql: str
    parameters: dict[str, str]
    settings: dict[str, str]
    format: str | None
    """The client's default, for a query without `FORMAT`."""
    protocol_version: int
    """Revision of Native that the client would like; 0 is what the engine writes."""


class Answer(NamedTuple):
    """What it gets."""

    body: bytes
    format: str
    time_zone: str
    rows: int
    read_rows: int
    read_bytes: int
    elapsed_ns: int


class _Session:
    """A read-only handle."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def run(self, sql: str, form: str, parameters: Mapping[str, str]) -> Result:
        """Run a statement that has been judged.

        Raises:
            DoorRefusal: The engine refused it.
        """
        try:
            return self._handle.query(sql, form, params=parameters)
        except RuntimeError as error:
            raise from_engine(error) from error

    def text(self, sql: str, parameters: Mapping[str, str]) -> str:
        """Run a statement that tells about a query; see `door_guard.Parser`."""
        said = self.run(sql, "TSVRaw", parameters).bytes()
        try:
            return said.decode().rstrip("\n")
        except UnicodeDecodeError:
            if sql.startswith("EXPLAIN"):
                return said.decode(errors="backslashreplace").rstrip("\n")
            raise malformed("a query is UTF-8 text; write other bytes with unhex('…')") from None


class DoorEngine:
    """Runs queries of clients on the embedded engine; its methods block.

    Args:
        open_handle: Gives a new handle.
        database: The one whose tables may be read; it must exist.
    """

    def __init__(self, open_handle: OpenHandle, database: str) -> None:
        self._open = open_handle
        self._database = database
        self._judged: dict[tuple[str, ...], Statement] = {}
        self._lock = threading.Lock()

    def answer(
        self, asked: Asked, limits: Limits, token: str, default_format: str
    ) -> tuple[Statement, Answer]:
        """Judge a query and run it.

        Args:
            asked: What the client wants.
            limits: Those of its account; the time counts from here.
            token: Names the query for `kill`, 32 hex digits.
            default_format: For a query that names none.

        Raises:
            DoorRefusal: It may not be run, or failed.
        """
        began_ns = time.perf_counter_ns()
        statement = self._inspect(asked, limits, token)
        settings = engine_settings({**asked.settings, **statement.settings}, limits)
        spent_s = (time.perf_counter_ns() - began_ns) / 1e9
        settings["max_execution_time"] = f"{max(0.05, float(settings['max_execution_time']) - spent_s):.3f}"
        form = check_format(statement.format or asked.format or default_format)
        with self._session(settings, token) as session:
            result = session.run(statement.sql, form, asked.parameters)
            body = result.bytes()
            if form == "Native" and statement.is_hello and asked.protocol_version:
                body = hello_block(*_version_and_zone(session))
            elif form == "Native" and statement.is_select and not body:
                body = empty_block(_columns(session, statement.sql, asked.parameters))
        if len(body) > limits.bytes:  # the engine counts columns, and a constant one once
            raise too_long(f"the answer is longer than {limits.bytes} bytes")
        elapsed_ns = time.perf_counter_ns() - began_ns
        read = (result.rows_read(), result.storage_rows_read(), result.storage_bytes_read())
        return statement, Answer(body, form, settings["session_timezone"], *read, elapsed_ns)

    def kill(self, token: str) -> None:
        """End a query that runs under a token; it is no error if none does."""
        handle = self._open()
        try:
            handle.query(f"KILL QUERY WHERE Settings['log_comment'] = '{token}' ASYNC", "Null")
        except RuntimeError as error:
            raise from_engine(error) from error
        finally:
            handle.close()

    def _inspect(self, asked: Asked, limits: Limits, token: str) -> Statement:
        """Judge a query, or remember how it was judged: of its parameters only names can matter."""
        names = sorted(asked.parameters.items()) if "identifier" in asked.sql.lower() else ()
        key = (asked.sql, *chain.from_iterable(names))
        with self._lock:
            statement = self._judged.get(key)
        if statement is not None:
            return statement
        statement = self._judge(asked, limits, token)
        if sum(map(len, key)) <= _REMEMBERED_CHARACTERS:
            with self._lock:
                if len(self._judged) >= _REMEMBERED:
                    del self._judged[next(iter(self._judged))]
                self._judged[key] = statement
        return statement

    def _judge(self, asked: Asked, limits: Limits, token: str) -> Statement:
        settings = engine_settings({}, limits)
        settings |= {"max_result_rows": "0", "max_result_bytes": str(_CHECK_BYTES)}
        with self._session(settings, token) as session:
            return inspect(session, asked.sql, asked.parameters, self._database)

    @contextmanager
    def _session(self, settings: Mapping[str, str], token: str) -> Iterator[_Session]:
        """Open a handle, set its limits, make it read-only."""
        handle = self._open()
        try:
            given = {**_ALWAYS, **settings, "log_comment": token, "readonly": "1"}
            try:
                handle.query(f"USE `{self._database}`", "Null")
                handle.query(
                    "SET " + ", ".join(f"{name} = '{value}'" for name, value in given.items()), "Null"
                )
            except RuntimeError as error:
                raise from_engine(error) from error
            yield _Session(handle)
        finally:
            handle.close()


def _version_and_zone(session: _Session) -> tuple[str, str]:
    version, _, zone = session.text("SELECT version(), timezone()", {}).partition("\t")
    return version, zone


def _columns(session: _Session, sql: str, parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """Ask for the names and types of an answer without rows."""
    said = session.run(f"DESCRIBE TABLE ({sql})", "JSONCompactEachRow", parameters).bytes()
    return [(row[0], row[1]) for row in map(orjson.loads, said.splitlines())]
