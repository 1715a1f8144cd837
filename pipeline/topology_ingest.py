"""The role `ingest` of a cluster: sources to Kafka.

As in `topology`: connections first, stages from sink to source; leaving goes the other way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pipeline import __version__
from pipeline.bus.kafka import topics
from pipeline.bus.kafka.connection import reach
from pipeline.bus.kafka.ingest import IngestBus
from pipeline.bus.kafka.keys import Keyer
from pipeline.bus.kafka.producing import open_producer
from pipeline.bus.kafka.reading import make_consumer
from pipeline.bus.sealed import SealedInlet
from pipeline.clock import SystemClock
from pipeline.config import Config
from pipeline.contracts import Inlet
from pipeline.data_dir import announced, make_private
from pipeline.errors import ConfigError
from pipeline.formats.sealed import Sealer
from pipeline.http_server import HttpServer
from pipeline.model import Source
from pipeline.parsers import Parsers, make_parsers
from pipeline.sources.http_log import IngestApp
from pipeline.sources.kafka_topics import TopicReader
from pipeline.sources.stats import SourceStats
from pipeline.status_kafka import ObservedIngest
from pipeline.telemetry import exported_metrics
from pipeline.topology_listeners import listen_to_syslog
from pipeline.web.health import health_app

Addresses = dict[str, str]


def check_cluster(config: Config) -> None:
    """Make sure that processes which never talk do the same to the same record.

    Raises:
        ConfigError: The bus is none, or a key is missing that all need.
    """
    if not config.bus.servers:
        raise ConfigError("bus.dsn: name a cluster, kafka://host:port; `hoptrail serve` is for a journal")
    if config.redaction.key_file is None:
        raise ConfigError(
            "redaction.key_file: all ingest and join processes need the same one, or the halves of a request "
            "get different names"
        )


@asynccontextmanager
async def ingesting(config: Config, on_failure: Callable[[], None]) -> AsyncIterator[Addresses]:
    """Run everything that `hoptrail ingest` is; gives the addresses in force.

    Raises:
        ConfigError: No broker answers, topics are missing or cut otherwise, an address is taken.
    """
    check_cluster(config)
    await topics.require(config.bus)
    clock, stats, directory = SystemClock(), SourceStats(), make_private(config.data_dir)
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(open_producer(config.bus))
        bus = await stack.enter_async_context(
            IngestBus(producer, config.bus.kafka, lambda: _keyer(make_parsers(config)), config.drain_s)
        )
        parsers = make_parsers(config)
        given: Inlet = bus
        if parsers.sealed:
            given = SealedInlet(
                bus, Sealer(parsers.haproxy, parsers.kong, parsers.redactor, parsers.originals)
            )
        observed = ObservedIngest(bus, stats, clock)
        addresses = await _open_ingest(config, stack, observed, given)
        addresses |= await listen_to_syslog(config, stack, given, clock, stats)
        await _read_topics(config, stack, given, observed, on_failure)
        stack.enter_context(announced(directory, addresses))
        yield addresses


def _keyer(parsers: Parsers) -> Keyer:
    return Keyer(parsers.haproxy, parsers.redactor)


async def _open_ingest(
    config: Config, stack: AsyncExitStack, observed: ObservedIngest, given: Inlet
) -> Addresses:
    metrics = stack.enter_context(exported_metrics(observed.samples))

    async def status() -> dict[str, Any]:
        return {"version": __version__, **observed.document()}

    def unready() -> str | None:
        return "the brokers do not keep up" if observed.bus.fill >= 1.0 else None

    health = health_app(status=status, unready=unready, metrics=metrics)
    kong = config.sources.kong
    app = IngestApp(kong, given, observed.clock, observed.stats, fallback=health)
    server = await stack.enter_async_context(
        HttpServer(app, kong.listen, tls=kong.tls, setting="sources.kong.listen")
    )
    return {"ingest_url": f"{'https' if kong.tls else 'http'}://{server.address}"}


async def _read_topics(
    config: Config,
    stack: AsyncExitStack,
    given: Inlet,
    observed: ObservedIngest,
    on_failure: Callable[[], None],
) -> None:
    """Read the topics that others fill, where some are named."""
    named = config.sources.kafka
    wanted = dict.fromkeys(named.edge_topics, Source.HAPROXY) | dict.fromkeys(
        named.gateway_topics, Source.KONG
    )
    if not wanted:
        return
    kafka = config.bus.kafka
    consumer = make_consumer(config.bus, f"{kafka.group}.repartition", kafka.instance_id, pairs=False)
    stack.push_async_callback(consumer.stop)
    await reach(consumer, config.bus)
    reader = TopicReader(
        consumer, wanted, bus=given, clock=observed.clock, stats=observed.stats, on_failure=on_failure
    )
    await stack.enter_async_context(reader)
