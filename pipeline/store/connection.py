"""I/O: one client of the store, embedded or a server, and how rows get into it.

Blocking: an owner keeps it on one thread. `Refused` and `StoreUnavailable` are all that comes out of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error
from clickhouse_connect.driver.httputil import get_pool_manager

from pipeline.addresses import is_loopback
from pipeline.errors import ConfigError, PipelineError, StoreUnavailable
from pipeline.store.dsn import DATABASE, Dsn, EmbeddedDsn, ServerDsn
from pipeline.store.locked import holder_of
from pipeline.store.statements import FORMAT

_ENGINE_OPTIONS = {"mark_cache_size": 256 * 2**20, "index_mark_cache_size": 64 * 2**20}
"""Caches of the embedded engine; a server's own defaults (5 GiB) are for a machine of its own."""

_CONNECT_S, _ANSWER_S = 5, 120
_TWO_STEPS = "distributed_product_mode"
_INSERT_SETTINGS = {
    # A record is an array in JSON, for msgspec as for ClickHouse.
    "input_format_json_named_tuples_as_objects": "0",
    # One thread reads the rows: a quarter less CPU than finding their borders first.
    "input_format_parallel_parsing": "0",
    "async_insert": "0",
    # Rows of one key within a block are seldom; FINAL and merges unite them. Looking for them on insert takes
    # a third of its time.
    "optimize_on_insert": "0",
    # The rewriting of elements of tuples, and pipes for a second thread that has nothing to do, cost a small insert
    # much (`benchmarks/bench_insert.py`).
    "optimize_functions_to_subcolumns": "0",
    "max_threads": "1",
    # The ids of a block that was stored before a kill are not left out when it comes again.
    "deduplicate_blocks_in_dependent_materialized_views": "1",
}
_SERVER_SETTINGS = {
    # Into `Distributed` tables of a cluster: on the shards' disks on return. Elsewhere it means nothing.
    "distributed_foreground_insert": "1",
}

_CONTENT = frozenset(
    {6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 128, 130, 131, 190, 321, 349, 407, 469},
)
"""Error codes that speak of what a row holds: ClickHouse `src/Common/ErrorCodes.cpp`, 24.8 to 26.9."""
_ACCESS = frozenset({81, 164, 192, 193, 194, 195, 291, 482, 492, 497, 516})
"""Error codes of accounts, grants and databases: trying again will not help."""
_TOO_LARGE = 241
"""MEMORY_LIMIT_EXCEEDED: half of it may fit."""


class Refused(PipelineError):  # noqa: N818 -- says what is the case
    """The store will never take these rows as they are.

    Attributes:
        reason: Name of ClickHouse's error, or `cannot_encode`; without any of the rows' own text.
        by_content: False where there are only too many at once.
    """

    def __init__(self, reason: str, *, by_content: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.by_content = by_content


class Connection:
    """A client and how it takes rows."""

    def __init__(self, client: Client, *, embedded: bool) -> None:
        self.client = client
        self._embedded = embedded

    def insert(
        self, statement: Callable[[str], str], structure: str, lines: Iterable[bytes], *, token: str = ""
    ) -> None:
        """Insert lines of `JSONCompactEachRow`; they are durable on return.

        Args:
            statement: Gives the INSERT, from the table function to select from.
            structure: Names and types of what is in a line.
            lines: The rows, in pieces of whole lines; an embedded store's are let go one by one.
            token: Names this very block, so that a server drops it when it comes again.

        Raises:
            Refused: For what the rows hold.
            StoreUnavailable: It may pass later.
        """
        given = _INSERT_SETTINGS if self._embedded else _INSERT_SETTINGS | _SERVER_SETTINGS
        settings = ", ".join(f"{name} = {value}" for name, value in given.items())
        if token:
            settings += f", insert_deduplication_token = '{token}'"
        types = structure.replace("'", "\\'")
        with answering(takes_rows=True):
            if self._embedded:
                with _as_file(lines) as path:
                    source = f"file('{path}', '{FORMAT}', '{types}')"
                    self.client.command(f"{statement(source)} SETTINGS {settings}")
            else:
                source = f"input('{types}')"
                head = f"{statement(source)} SETTINGS {settings} FORMAT {FORMAT}\n"
                self.client.raw_insert(
                    "", insert_block=b"".join((head.encode(), *lines))
                )  # it names the table

    def close(self) -> None:
        """Close the client; twice is safe."""
        self.client.close()


@contextmanager
def answering(*, takes_rows: bool = False) -> Iterator[None]:
    """Turn what the client raises into our own two errors.

    Args:
        takes_rows: Whether the store may refuse what it is given for what it holds. What it cannot answer it may
            answer later, whatever it says: a look-up that meets its limit of memory ends nobody.
    """
    try:
        yield
    except DatabaseError as error:
        code = error.code
        if takes_rows and (code in _CONTENT or code == _TOO_LARGE):
            raise Refused(error.name or f"error {code}", by_content=code in _CONTENT) from None
        raise StoreUnavailable(in_words(error)) from error
    except (Error, OSError) as error:
        raise StoreUnavailable(in_words(error)) from error


def in_words(error: BaseException) -> str:
    """Give the first line of an error, without what may be a row's own text or a statement."""
    text = str(error).strip().partition("\n")[0]
    text = re.split(r": While executing|\(in file/uri|In scope ", text)[0]
    text = text.rpartition("(Caused by ")[2]  # what urllib3 says before that is the address again
    return text[:200].strip() or type(error).__name__


@contextmanager
def _as_file(lines: Iterable[bytes]) -> Iterator[str]:
    """Give a path under which this process can read bytes; they never touch a disk, and a kill leaves nothing."""
    with os.fdopen(os.memfd_create("hoptrail-rows"), "wb") as file:
        file.writelines(lines)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def connect(dsn: Dsn, *, create: bool = False) -> Connection:
    """Open a client on the store's database.

    Args:
        dsn: Where it is.
        create: Make directory and database where there are none.

    Raises:
        ConfigError: The directory is locked, the account is refused, there is no such database.
        StoreUnavailable: A server does not answer.
    """
    return (
        _open_embedded(dsn, create=create)
        if isinstance(dsn, EmbeddedDsn)
        else _open_server(dsn, create=create)
    )


def _open_embedded(dsn: EmbeddedDsn, *, create: bool) -> Connection:
    directory = dsn.directory
    if create:
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the store {directory} cannot be made: {error.strerror}") from error
    elif not (directory / "metadata").is_dir():
        raise ConfigError(f"there is no store in {directory}")
    if (holder := holder_of(directory)) is not None:
        raise ConfigError(f"the store {directory} is in use by {holder}: stop it, or name another store")
    try:
        client = clickhouse_connect.get_client(
            interface="chdb", path=str(directory), chdb_options=_ENGINE_OPTIONS
        )
    except Error as error:
        if "already initialized" in str(error):
            raise ConfigError(
                "this process has another embedded store open; there can be one at a time"
            ) from error
        raise ConfigError(f"the store {directory} cannot be opened: {in_words(error)}") from error
    return _with_database(Connection(client, embedded=True), DATABASE, create=create)


def _open_server(dsn: ServerDsn, *, create: bool) -> Connection:
    options: dict[str, Any] = {}
    if is_loopback(dsn.host):
        options["pool_mgr"] = get_pool_manager(
            ca_cert=dsn.ca, verify=dsn.verify, client_cert=dsn.client_cert, client_cert_key=dsn.client_key
        )  # never through the proxy of the environment
    try:
        client = clickhouse_connect.get_client(
            interface="https" if dsn.secure else "http",
            host=dsn.host,
            port=dsn.port,
            username=dsn.user,
            password=dsn.password,
            verify=dsn.verify,
            ca_cert=dsn.ca,
            client_cert=dsn.client_cert,
            client_cert_key=dsn.client_key,
            # A certificate alone is the account's proof; beside a password it opens the connection only.
            tls_mode="strict" if dsn.client_cert and dsn.password else None,
            autogenerate_session_id=False,  # a session takes one request at a time
            connect_timeout=_CONNECT_S,
            send_receive_timeout=_ANSWER_S,
            query_retries=0,  # the engine retries, and counts it
            form_encode_query_params=True,  # a look-up's ids do not fit into a URL
            **options,
        )
    except (Error, OSError) as error:
        if isinstance(error, DatabaseError) and error.code in _ACCESS:
            raise ConfigError(f"{dsn.shown} refuses: {in_words(error)}") from error
        raise StoreUnavailable(f"{dsn.shown} does not answer: {in_words(error)}") from error
    _read_shards_by_themselves(client)
    return _with_database(Connection(client, embedded=False), dsn.database, create=create)


def _read_shards_by_themselves(client: Client) -> None:
    """Let a two-step search over `Distributed` tables find its keys on each shard: a request has one shard."""
    setting = client.server_settings.get(_TWO_STEPS)
    if setting is not None and not setting.readonly:
        client.set_client_setting(_TWO_STEPS, "local")


def _with_database(connection: Connection, database: str, *, create: bool) -> Connection:
    """Turn to a database, making it where it is missing and may be made."""
    client = connection.client
    name = "`" + database.replace("`", "") + "`"
    try:
        with answering():
            exists = bool(client.command(f"EXISTS DATABASE {name}"))
            if create and not exists:
                client.command(f"CREATE DATABASE IF NOT EXISTS {name} ENGINE = Atomic")
    except BaseException:
        connection.close()
        raise
    if not (create or exists):
        connection.close()
        raise ConfigError(f"there is no database {database} in the store: run hoptrail schema apply")
    client.database = database
    return connection
