"""The role `join` of a cluster: Kafka to the store. The other, `ingest`, is on a page of its own.

As in `topology`: connections first, stages from sink to source; leaving goes the other way.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from pipeline import __version__
from pipeline.bus.kafka import topics
from pipeline.bus.kafka.assigned_store import AssignedStore
from pipeline.bus.kafka.front import Front
from pipeline.bus.kafka.group import JoinGroup
from pipeline.bus.kafka.partition import PartitionBus
from pipeline.clock import Clock, SystemClock
from pipeline.config import Config
from pipeline.contracts import Account, Batch, Store
from pipeline.data_dir import announced, make_private
from pipeline.engine import Engine, EngineThread
from pipeline.engine.edge_watch import EdgeWatch
from pipeline.engine.ledger import Counted, LedgerKeeper
from pipeline.engine.periodic import every
from pipeline.engine.writing import SpanKeeper
from pipeline.errors import ConfigError
from pipeline.http_server import HttpServer
from pipeline.parsers import Parsers, make_parsers
from pipeline.rekeyed import StageWithCopies
from pipeline.sinks.clickhouse import ClickHouseSink, open_sink
from pipeline.sinks.otlp import metric_readers
from pipeline.sinks.united import UnitedStore
from pipeline.sources.stats import SourceStats
from pipeline.status import Loss
from pipeline.status_kafka import ObservedJoin
from pipeline.telemetry import Sample, exported_metrics
from pipeline.topology import make_engine, run_until
from pipeline.topology_ingest import Addresses, check_cluster
from pipeline.topology_spans import TopicSpans, all_samples, open_topic_spans
from pipeline.web.health import health_app

_MINUTE_S = 60.0


@asynccontextmanager
async def joining(config: Config, on_failure: Callable[[], None]) -> AsyncIterator[Addresses]:
    """Run everything that `hoptrail join` is; gives the addresses in force.

    Raises:
        ConfigError: No broker answers, topics are missing or cut otherwise, the store cannot be used.
    """
    check_cluster(config)
    await topics.require(config.bus, config.bus.kafka.group, spans=config.otlp.sends_spans)
    clock, directory = SystemClock(), make_private(config.data_dir)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        store = await enter(open_sink(config.store_dsn, clock))
        parsers = make_parsers(config)
        spans: TopicSpans | None = None
        thread = EngineThread(
            lambda: make_group(config, store, clock, parsers, spans.export.sink if spans else None),
            drain_s=config.drain_s,
            on_failure=on_failure,
        )

        loss = make_loss(config, store, clock, lambda: thread.engine, lambda: spans)
        await enter(loss.ledger)  # before what commits, so that its last look sees the last commits
        spans = await enter(open_topic_spans(config, clock, loss.ledger.look))
        await enter(every(_MINUTE_S, lambda: _count_minutes(config, store, thread.engine), "minute roll-ups"))
        group = (await enter(thread)).engine
        if group is None:
            raise ConfigError(f"the join did not start: {thread.failure}")
        observed = ObservedJoin(group, clock, config.join.window_s, loss)

        async def status() -> dict[str, Any]:
            document = {"version": __version__, **observed.document(), "store": await store.describe()}
            return document | ({"spans": spans.document()} if spans else {})

        def samples() -> Mapping[str, Iterable[Sample]]:
            return all_samples(observed.samples(), spans.samples() if spans else {})

        metrics = stack.enter_context(exported_metrics(samples, *metric_readers(config.otlp)))
        health = health_app(status=status, unready=lambda: None, metrics=metrics)
        listen, tls = config.bus.kafka.status_listen, config.bus.kafka.status_tls
        server = await enter(HttpServer(health, listen, tls=tls, setting="bus.kafka.status_listen"))
        addresses = {"ingest_url": f"{'https' if tls else 'http'}://{server.address}"}
        stack.enter_context(announced(directory, addresses))
        yield addresses


def make_loss(
    config: Config,
    store: ClickHouseSink,
    clock: Clock,
    group: Callable[[], JoinGroup | None],
    spans: Callable[[], TopicSpans | None],
) -> Loss:
    """Make what writes the ledger, and what looks for lost lines: the process that has the first partition does."""

    def accounts() -> Mapping[str, Account]:
        found = group()
        return {} if found is None else ObservedJoin(found, clock, config.join.window_s).accounts()

    def counted() -> Iterator[Counted]:
        found = spans()
        for kind, reason, total, instance in found.export.counted() if found else ():
            yield Counted("spans", kind, reason, total, instance)

    front = Front(config.bus, clock, lambda: _has(group(), 0), config.join.window_s)
    watch = EdgeWatch(store.edge_loss, accounts, clock, settled_s=front.settled_s)
    keeper = LedgerKeeper(
        accounts=accounts,
        write=lambda rows: store.write(Batch((), (), (), rows)),
        clock=clock,
        process=f"process-{secrets.token_hex(4)}",
        counted=counted,
        each_minute=watch.look,
    )
    return Loss(SourceStats(), keeper, watch)


async def _count_minutes(config: Config, store: ClickHouseSink, group: JoinGroup | None) -> None:
    """Count this process's share of the minutes: those that fall to its partitions."""
    await store.count_shared_minutes(lambda minute: _has(group, minute % config.bus.kafka.partitions))


def _has(group: JoinGroup | None, partition: int) -> bool:
    return group is not None and partition in group.units


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
