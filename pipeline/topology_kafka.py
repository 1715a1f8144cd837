"""The two roles of a cluster: `ingest` (sources to Kafka) and `join` (Kafka to the store).

As in `topology`: connections first, stages from sink to source; leaving goes the other way.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from pipeline import __version__
from pipeline.bus.kafka import topics
from pipeline.bus.kafka.assigned_store import AssignedStore
from pipeline.bus.kafka.connection import reach
from pipeline.bus.kafka.group import JoinGroup
from pipeline.bus.kafka.ingest import IngestBus
from pipeline.bus.kafka.keys import Keyer
from pipeline.bus.kafka.partition import PartitionBus
from pipeline.bus.kafka.producing import open_producer
from pipeline.bus.kafka.reading import make_consumer
from pipeline.bus.sealed import SealedInlet
from pipeline.clock import Clock, SystemClock
from pipeline.config import Config
from pipeline.contracts import Account, Batch, Inlet, Store
from pipeline.data_dir import announced, make_private
from pipeline.engine import Engine, EngineThread
from pipeline.engine.ledger import LedgerKeeper
from pipeline.engine.writing import SpanKeeper
from pipeline.errors import ConfigError
from pipeline.formats.sealed import Sealer
from pipeline.http_server import HttpServer
from pipeline.model import Source
from pipeline.parsers import Parsers, make_parsers
from pipeline.rekeyed import StageWithCopies
from pipeline.sinks.clickhouse import open_sink
from pipeline.sinks.otlp import metric_readers, open_spans
from pipeline.sinks.united import UnitedStore
from pipeline.sources.http_log import IngestApp
from pipeline.sources.kafka_topics import TopicReader
from pipeline.sources.stats import SourceStats
from pipeline.status_kafka import ObservedIngest, ObservedJoin
from pipeline.telemetry import Sample, exported_metrics
from pipeline.topology import listen_to_syslog, make_engine, run_until
from pipeline.web.health import health_app

_log = logging.getLogger(__name__)

Addresses = dict[str, str]


def _check(config: Config) -> None:
    """Make sure that processes which never talk do the same to the same record."""
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
    _check(config)
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
    await reach(consumer.start(), config.bus)
    reader = TopicReader(
        consumer, wanted, bus=given, clock=observed.clock, stats=observed.stats, on_failure=on_failure
    )
    await stack.enter_async_context(reader)


@asynccontextmanager
async def joining(config: Config, on_failure: Callable[[], None]) -> AsyncIterator[Addresses]:
    """Run everything that `hoptrail join` is; gives the addresses in force.

    Raises:
        ConfigError: No broker answers, topics are missing or cut otherwise, the store cannot be used.
    """
    _check(config)
    await topics.require(config.bus)
    clock, directory = SystemClock(), make_private(config.data_dir)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        store = await enter(open_sink(config.store_dsn, clock))
        parsers = make_parsers(config)
        spans = await enter(open_spans(config.otlp, directory, config.drain_s))
        keeper = spans.sink if spans else None
        thread = EngineThread(
            lambda: make_group(config, store, clock, parsers, keeper),
            drain_s=config.drain_s,
            on_failure=on_failure,
        )

        def accounts() -> Mapping[str, Account]:
            group = thread.engine
            return {} if group is None else ObservedJoin(group, clock, config.join.window_s).accounts()

        # Entered before the thread, so that its last look sees the last commits.
        ledger = LedgerKeeper(
            accounts=accounts,
            write=lambda rows: store.write(Batch((), (), (), rows)),
            clock=clock,
            process=f"process-{secrets.token_hex(4)}",
        )
        await enter(ledger)
        group = (await enter(thread)).engine
        if group is None:
            raise ConfigError(f"the join did not start: {thread.failure}")
        observed = ObservedJoin(group, clock, config.join.window_s)

        async def status() -> dict[str, Any]:
            document = {"version": __version__, **observed.document(), "store": await store.describe()}
            return document | ({"spans": spans.document()} if spans else {})

        def samples() -> Mapping[str, Iterable[Sample]]:
            return {**observed.samples(), **(spans.samples() if spans else {})}

        metrics = stack.enter_context(exported_metrics(samples, *metric_readers(config.otlp)))
        health = health_app(status=status, unready=lambda: None, metrics=metrics)
        listen = config.bus.kafka.status_listen
        server = await enter(HttpServer(health, listen, tls=None, setting="bus.kafka.status_listen"))
        addresses = {"ingest_url": f"http://{server.address}"}
        stack.enter_context(announced(directory, addresses))
        yield addresses


def make_group(
    config: Config, store: Store, clock: Clock, parsers: Parsers, spans: SpanKeeper | None = None
) -> JoinGroup:
    """Put the consumer group and the engines of its partitions together."""
    united, stage = UnitedStore(store, config.store.batch_rows), StageWithCopies(parsers)

    def engine_of(bus: PartitionBus, share: int) -> Engine:
        view = AssignedStore(
            united,
            bus,
            clock,
            window_ns=int(config.join.window_s * 1e9),
            partitions=config.bus.kafka.partitions,
            produce=group.produce,
            check=group.lost_touch,
        )
        return make_engine(
            config,
            bus=bus,
            store=view,
            clock=clock,
            parsers=parsers,
            event_time=False,
            stage=stage,
            offsets=bus.offsets,
            share=share,
            spans=spans,
        )

    group = JoinGroup(config.bus, engine_of, config.drain_s)
    return group


Running = Callable[[Config, Callable[[], None]], AbstractAsyncContextManager[Addresses]]


async def run_role(
    role: Running, config: Config, stop: asyncio.Event, on_ready: Callable[[Addresses], None]
) -> bool:
    """Run `ingesting` or `joining` until told to stop, or until a stage fails; says whether all ended well."""
    return await run_until(lambda fail: role(config, fail), config, stop, on_ready)
