"""I/O: which store a reading command asks, and how.

`--url` (a read door, or a server's HTTP port) beats `--store` beats the configuration; without any of them it
is the store of the data directory: through the door of the process that serves it, else opened directly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import typer
from clickhouse_connect import get_client
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import Error
from clickhouse_connect.driver.httputil import get_pool_manager

from pipeline.addresses import is_loopback
from pipeline.config import load_config
from pipeline.errors import ConfigError, StoreUnavailable
from pipeline.harmless import printable
from pipeline.store import schema
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import DATABASE, EmbeddedDsn, parse_dsn
from pipeline.store.locked import holder_of

_WAIT_S = 60

StoreOption = Annotated[
    str | None, typer.Option("--store", help="chdb:///absolute/dir or clickhouse://user@host:8123/database.")
]
UrlOption = Annotated[str | None, typer.Option("--url", help="A read door or a server, http://host:port.")]
DataDirOption = Annotated[Path | None, typer.Option("--data-dir", help="Directory of `hoptrail serve`.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file.", envvar="HOPTRAIL_CONFIG", dir_okay=False)
]


class Asked(NamedTuple):
    """What the command line says of the store."""

    store: str | None = None
    url: str | None = None
    data_dir: Path | None = None
    config_file: Path | None = None


class Reader(NamedTuple):
    """A store that can be asked."""

    client: Client
    place: str
    """Where it is, in words, without a password."""


@contextmanager
def reading(asked: Asked) -> Iterator[Reader]:
    """Open the store that a command is to read, and close it.

    Raises:
        ConfigError: There is none, it is locked by nobody we can ask, does not answer, or is of another version.
    """
    reader = _open(asked)
    try:
        yield reader
    except Error as error:
        why = _other_version(reader.client) or _first_line(error)
        raise ConfigError(f"{reader.place} could not answer: {why}") from error
    finally:
        reader.client.close()


def _other_version(client: Client) -> str:
    """Say what a store lacks, or has too much, of what this program reads; nothing where it is of this version."""
    try:
        schema.require(Connection(client, embedded=False))
    except ConfigError as error:
        return str(error)
    except StoreUnavailable:
        pass  # the first error tells why
    return ""


def running_server(data_dir: Path) -> Mapping[str, Any] | None:
    """Give what `serve` wrote about itself into a data directory; None where no such process lives."""
    try:
        server = json.loads((data_dir / "server.json").read_text(encoding="utf-8"))
        return server if _is_alive(server["pid"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _open(asked: Asked) -> Reader:
    if asked.url and asked.store:
        raise ConfigError("--url and --store both name a store: give one of them")
    if asked.url:
        return _open_url(asked.url)
    if asked.store:
        return _open_dsn(asked.store)
    config = load_config(asked.config_file, {"data_dir": asked.data_dir})
    if config.store.dsn and asked.data_dir is None:
        return _open_dsn(config.store.dsn)
    data_dir = config.data_dir.resolve()
    return _open_directory(
        data_dir / "store", (data_dir,), config.door.tls.cert_file if config.door.tls else None
    )


def _open_dsn(text: str) -> Reader:
    dsn = parse_dsn(text)
    if isinstance(dsn, EmbeddedDsn):
        return _open_directory(dsn.directory, (dsn.directory.parent, dsn.directory))
    try:
        return Reader(connect(dsn).client, f"the store {dsn.shown}")
    except StoreUnavailable as error:
        raise ConfigError(str(error)) from error


def _open_directory(store: Path, data_dirs: tuple[Path, ...], certificate: Path | None = None) -> Reader:
    """Open an embedded store: through the door of the process that serves it, else directly.

    Args:
        store: The engine's directory.
        data_dirs: Where a server may have announced itself.
        certificate: What its door shows, where that speaks TLS; trusted whatever names it carries.
    """
    refused = ""
    for data_dir in data_dirs:
        server = running_server(data_dir)
        if server and server.get("read_url"):
            try:
                return _open_url(str(server["read_url"]), certificate)
            except ConfigError as error:
                refused = f" ({error})"  # its process number may have gone to another program since
    if not (store / "metadata").is_dir():
        raise ConfigError(
            f"there is no store in {store}{refused}; name one with --data-dir, --store or --url"
        )
    if holder_of(store) is not None:
        raise ConfigError(
            f"{store} is in use by another process, and no server.json beside it says how to ask that one"
            f"{refused}; name its read door with --url"
        )
    return Reader(connect(EmbeddedDsn(store)).client, f"the store in {store}")


def _open_url(url: str, certificate: Path | None = None) -> Reader:
    """Open what speaks ClickHouse's HTTP protocol at an address that needs no further settings."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"--url: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError("--url: give http://host:port, https://host:port or one with /database behind it")
    place = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")
    options: dict[str, Any] = {}
    if certificate is not None:
        options["pool_mgr"] = get_pool_manager(ca_cert=str(certificate), assert_hostname=False)
    elif is_loopback(parts.hostname):
        options["pool_mgr"] = get_pool_manager()  # never through the proxy of the environment
    try:
        client = get_client(
            interface=parts.scheme,
            host=parts.hostname,
            port=port,
            username=unquote(parts.username or "") or None,
            password=unquote(parts.password or ""),
            database=parts.path.strip("/") or DATABASE,
            autogenerate_session_id=False,
            connect_timeout=5,
            send_receive_timeout=_WAIT_S,
            query_retries=0,
            **options,
        )
    except Error as error:
        raise ConfigError(f"{place} does not answer: {_first_line(error)}") from error
    return Reader(client, f"the store at {place}")


def _first_line(error: Exception) -> str:
    """Give what a person needs of a client's error."""
    return printable(str(error).partition("\n")[0].strip() or type(error).__name__, 300)
