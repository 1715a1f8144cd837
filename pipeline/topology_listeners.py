"""Whatever listens: the read door, `/ingest/kong` with health and metrics, and HAProxy's syslog.

Entered last and left first, so that nothing arrives before all is ready.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from pipeline import __version__
from pipeline.clock import Clock
from pipeline.config import Config, DoorConfig
from pipeline.contracts import Bus, Inlet
from pipeline.http_server import HttpServer
from pipeline.parsers import Parsers
from pipeline.sinks.clickhouse import ClickHouseSink
from pipeline.sinks.otlp import SpanExport, metric_readers
from pipeline.sources.http_log import IngestApp
from pipeline.sources.stats import SourceStats
from pipeline.sources.syslog_stream import listen_tcp
from pipeline.sources.syslog_udp import listen_udp
from pipeline.sources.syslog_unix import listen_unix
from pipeline.status import Observed
from pipeline.telemetry import Sample, exported_metrics
from pipeline.web.door import door_app
from pipeline.web.health import health_app


async def open_doors(
    config: Config,
    stack: AsyncExitStack,
    observed: Observed,
    store: ClickHouseSink,
    stats: SourceStats,
    *,
    given: Bus,
    parsers: Parsers,
    spans: SpanExport | None = None,
) -> dict[str, str]:
    """Start the HTTP listeners: the read door, then `/ingest/kong` with health and metrics."""
    addresses = {}
    if config.door.listen and config.store_dsn.startswith("chdb://"):
        addresses["read_url"] = await _open_read_door(config.door, stack, store)

    def samples() -> Mapping[str, Iterable[Sample]]:
        return {**observed.samples(), **(spans.samples() if spans else {})}

    metrics = stack.enter_context(exported_metrics(samples, *metric_readers(config.otlp)))

    async def status() -> dict[str, Any]:
        document = {"version": __version__, **observed.document(), "store": await store.describe()}
        progress = observed.engine.progress
        document["store"] |= {"last_write_ns": progress.last_write_ns, "write_errors": progress.write_errors}
        document["listeners"] = stats.document()
        if spans:
            document["spans"] = spans.document()
        document["warnings"] = list(parsers.haproxy.warnings)
        return document

    def unready() -> str | None:
        return "the bus is full" if observed.bus.fill >= 1.0 else None

    health = health_app(status=status, unready=unready, metrics=metrics)
    kong = config.sources.kong
    ingest = IngestApp(kong, given, observed.clock, stats, fallback=health)
    server = await stack.enter_async_context(
        HttpServer(ingest, kong.listen, tls=kong.tls, setting="sources.kong.listen")
    )
    scheme = "https" if kong.tls else "http"
    return addresses | {"ingest_url": f"{scheme}://{server.address}"}


async def _open_read_door(config: DoorConfig, stack: AsyncExitStack, store: ClickHouseSink) -> str:
    """Start the read door; gives its URL, which `server.json` keeps for this process's own reading commands."""
    password = secrets.token_urlsafe(24) if config.accounts else None
    app = door_app(store.open_handle, config, own_password=password)
    door = HttpServer(app, config.listen, tls=config.tls, setting="door.listen")
    address = (await stack.enter_async_context(door)).address
    login = f"hoptrail:{password}@" if password else ""
    return f"{'https' if config.tls else 'http'}://{login}{address}"


async def listen_to_syslog(
    config: Config, stack: AsyncExitStack, bus: Inlet, clock: Clock, stats: SourceStats
) -> dict[str, str]:
    """Start the listeners for HAProxy's lines."""
    syslog, addresses = config.sources.syslog, {}
    for name, wanted, listen in (
        ("syslog_udp", syslog.udp, listen_udp),
        ("syslog_tcp", syslog.tcp, listen_tcp),
        ("syslog_unix", syslog.unix, listen_unix),
    ):
        if wanted:
            listener = await stack.enter_async_context(listen(syslog, bus, clock, stats))
            addresses[name] = listener.address
    return addresses
