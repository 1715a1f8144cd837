"""The store that a command changes, opened directly, or asks about itself; and the options that name it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.connect import Asked, reading
from pipeline.config import load_config
from pipeline.store.connection import Connection, connect
from pipeline.store.dsn import Dsn, parse_dsn

WritableOption = Annotated[
    str | None, typer.Option("--store", help="chdb:///absolute/dir or clickhouse://user@host:8123/database.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", help="Replicated tables and a sharded one over them, on every node of it."),
]


@contextmanager
def asked(store: str | None, data_dir: Path | None, config_file: Path | None) -> Iterator[Connection]:
    """Open the store that is meant, to ask about its tables; through the door of the process that serves it, if any.

    Raises:
        ConfigError: It is not there, is held by somebody who cannot be asked, or does not answer.
    """
    with reading(Asked(store=store, data_dir=data_dir, config_file=config_file)) as reader:
        yield Connection(reader.client, embedded=False)


@contextmanager
def opened(
    store: str | None, data_dir: Path | None, config_file: Path | None, *, create: bool
) -> Iterator[tuple[Connection, Dsn]]:
    """Open the store that is meant, where options and configuration say.

    Raises:
        ConfigError: It is not there, locked, or refuses.
        StoreUnavailable: A server does not answer.
    """
    config = load_config(config_file, {"data_dir": data_dir, "store.dsn": store})
    dsn = parse_dsn(config.store_dsn)
    connection = connect(dsn, create=create)
    try:
        yield connection, dsn
    finally:
        connection.close()
