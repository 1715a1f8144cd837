"""`hoptrail status`: where every record is, how far behind we are, and what the store holds."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from pipeline.cli.connect import (
    Asked,
    ConfigOption,
    DataDirOption,
    StoreOption,
    UrlOption,
    reading,
    running_server,
)
from pipeline.cli.draw_status import draw_status
from pipeline.cli.output import Output, OutputOption, draw, write_json, write_rows
from pipeline.config import BusConfig, Config, load_config
from pipeline.errors import ConfigError
from pipeline.status import account_document
from pipeline.store.describe import describe

_WAIT_S = 10
_LONGEST_ANSWER = 2**20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    store: StoreOption = None,
    url: UrlOption = None,
    data_dir: DataDirOption = None,
    config_file: ConfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show sources, lag, the account of every record, join, bus and store.

    Asks the process that serves the data directory; where none runs, reads its journal and its store. With
    --store or --url it shows that store alone.
    """
    asked = Asked(store, url, data_dir, config_file)
    if store or url:
        document = {"store": _store(asked)}
    else:
        config = load_config(config_file, {"data_dir": data_dir})
        server = running_server(config.data_dir)
        document = _ask(server, config) if server else _offline(config, asked)
    if output is Output.TABLE:
        draw(*draw_status(document))
    elif output is Output.JSON:
        write_json(document)
    else:
        write_rows([document], output, ())


def _ask(server: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Ask the running process; its address is in its own `server.json`, and no proxy stands between."""
    address = urlsplit(str(server.get("ingest_url", "")))
    if not address.hostname:
        raise ConfigError(f"{config.data_dir}/server.json does not say where its process listens")
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        context = _pinned(config)
        connection = http.client.HTTPSConnection(address.netloc, timeout=_WAIT_S, context=context)
    else:
        connection = http.client.HTTPConnection(address.netloc, timeout=_WAIT_S)
    try:
        with closing(connection):
            connection.request("GET", "/status")
            answer = connection.getresponse()
            body = answer.read(_LONGEST_ANSWER)
        if answer.status != http.client.OK:
            raise ConfigError(f"the process at {address.netloc} answered {answer.status} to /status")
        document = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ConfigError(
            f"the process {server['pid']} at {address.netloc} does not answer: {error}"
        ) from error
    return {"running": True, "pid": server["pid"], **document}


def _pinned(config: Config) -> ssl.SSLContext:
    """Trust the very certificate that the process was given, whatever names it carries."""
    given = [tls for tls in (config.sources.kong.tls, config.bus.kafka.status_tls) if tls is not None]
    if not given:
        raise ConfigError("the process speaks TLS: name its configuration with --config, for its certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    for tls in given:  # which of the two a process shows depends on its role
        context.load_verify_locations(cafile=str(tls.cert_file))
    return context


def _offline(config: Config, asked: Asked) -> dict[str, Any]:
    """Read what a stopped process left: the account of its journal, and its store."""
    document: dict[str, Any] = {"running": False, "data_dir": str(config.data_dir.resolve())}
    journal = config.data_dir / "journal"
    if journal.is_dir():
        document |= asyncio.run(_journal(journal, config.bus))
    if (config.data_dir / "spans.db").is_file():
        document |= _spans(config.data_dir / "spans.db")
    try:
        document["store"] = _store(asked)
    except ConfigError as error:
        if not journal.is_dir():
            raise
        document["store"] = {"error": str(error)}
    return document


async def _journal(directory: Path, config: BusConfig) -> dict[str, Any]:
    from pipeline.bus.journal import open_journal  # noqa: PLC0415 -- only a stopped process needs it
    from pipeline.parsers import bus_key  # noqa: PLC0415 -- the same

    async with open_journal(directory, config.max_bytes, bus_key(config)) as bus:
        return {
            "sources": account_document(bus.account()),
            "bus": {"fill": bus.fill, "committed": bus.committed, "end": bus.end},
        }


def _spans(file: Path) -> dict[str, Any]:
    from pipeline.sinks.otlp import read_account, span_document  # noqa: PLC0415 -- only a stopped process needs it

    account = read_account(file)
    return {"spans": span_document(account)} if account else {}


def _store(asked: Asked) -> dict[str, Any]:
    """Describe a store in the words of a running process's own description, through any client."""
    with reading(asked) as reader:
        return {"dsn": reader.place, **describe(reader.client)}
