"""The one page that names everything and who feeds whom.

Connections are entered first and left last; stages go from sink to source, so that nothing arrives before
all is ready, and leaving stops the sources first, lets the engine finish, then closes store and bus.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from pipeline.bus.journal import open_journal
from pipeline.clock import Clock, SystemClock
from pipeline.config import Config
from pipeline.contracts import Batch, Outlet, Store
from pipeline.data_dir import announced, make_private
from pipeline.engine import Engine, EngineLimits, EngineThread
from pipeline.engine.draft import ParseStage
from pipeline.engine.edge_watch import EdgeWatch
from pipeline.engine.ledger import Counted, LedgerKeeper
from pipeline.engine.periodic import every
from pipeline.engine.writing import Offsets, SpanKeeper
from pipeline.errors import ConfigError
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.parsers import Parsers, bus_key, make_parsers
from pipeline.sinks.clickhouse import ClickHouseSink, open_sink
from pipeline.sinks.otlp import SpanExport, open_spans
from pipeline.sources.stats import SourceStats
from pipeline.status import Loss, Observed
from pipeline.topology_listeners import listen_to_syslog, open_doors

_log = logging.getLogger(__name__)

_REPLAY_ROWS = 30_000
"""Rows of a batch when files are replayed, at least: fewer cost the store more, with the merges that follow, and of
more the memory is fetched anew each time."""
_MINUTE_S = 60.0


def make_engine(
    config: Config,
    *,
    bus: Outlet,
    store: Store,
    clock: Clock,
    parsers: Parsers,
    event_time: bool,
    stage: ParseStage | None = None,
    offsets: Offsets | None = None,
    share: int = 1,
    spans: SpanKeeper | None = None,
) -> Engine:
    """Put parse, join and the two loops together.

    `stage` may stand for the parsers' own, `offsets` be the bus's own; `share` engines share what
    `join.max_pending` allows; `spans` sends spans.
    """
    limits = JoinLimits(
        window_ns=int(config.join.window_s * 1e9),
        max_pending=max(1000, config.join.max_pending // share),
        max_per_key=config.join.max_per_key,
        show_after_ns=int(config.join.show_pending_after_s * 1e9),
    )
    return Engine(
        bus=bus,
        parse=stage or parsers.stage(),
        joiner=Joiner(limits),
        store=store,
        clock=clock,
        limits=EngineLimits(
            max(config.store.batch_rows, _REPLAY_ROWS if event_time else 1),
            config.store.batch_age_s,
            config.store.batch_bytes,
        ),
        event_time=event_time,
        offsets=offsets,
        spans=spans,
    )


def make_ledger(
    bus: Outlet,
    store: ClickHouseSink,
    clock: Clock,
    stats: SourceStats,
    spans: Callable[[], SpanExport | None] = lambda: None,
) -> tuple[LedgerKeeper, EdgeWatch]:
    """Make what writes the ledger into the store, and what looks for lost lines beside it."""
    watch = EdgeWatch(store.edge_loss, bus.accounts, clock)
    process = f"process-{secrets.token_hex(4)}"

    def counted() -> Iterator[Counted]:
        for listener in list(stats.listeners.values()):
            for reason, count in list(listener.refused.items()):
                yield Counted(listener.source, "refused", f"{listener.name}:{reason}", count)
        sending = spans()
        for kind, reason, total, instance in sending.counted() if sending else ():
            yield Counted("spans", kind, reason, total, instance)

    keeper = LedgerKeeper(
        accounts=bus.accounts,
        write=lambda rows: store.write(Batch((), (), (), rows)),
        clock=clock,
        process=process,
        counted=counted,
        each_minute=watch.look,
    )
    return keeper, watch


@asynccontextmanager
async def running(config: Config, on_failure: Callable[[], None]) -> AsyncIterator[dict[str, str]]:
    """Run everything that `hoptrail serve` is; gives the addresses in force.

    Args:
        config: What the operator set.
        on_failure: Called, from any thread, when a stage fails for good.

    Raises:
        ConfigError: An address is taken, a directory is locked, a format is not understood.
    """
    clock = SystemClock()
    directory = make_private(config.data_dir)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bus = await enter(open_journal(directory / "journal", config.bus.max_bytes, bus_key(config.bus)))
        store = await enter(open_sink(config.store_dsn, clock))
        parsers = make_parsers(config)
        stats = SourceStats()
        spans: SpanExport | None = None
        ledger, watch = make_ledger(bus, store, clock, stats, lambda: spans)
        await enter(ledger)
        spans = await enter(open_spans(config.otlp, directory, config.drain_s))
        await enter(every(_MINUTE_S, store.count_minutes, "minute roll-ups"))
        thread = EngineThread(
            lambda: make_engine(
                config,
                bus=bus,
                store=store,
                clock=clock,
                parsers=parsers,
                event_time=False,
                spans=spans.sink if spans else None,
            ),
            drain_s=config.drain_s,
            on_failure=on_failure,
        )
        engine = (await enter(thread)).engine
        if engine is None:
            raise ConfigError(f"the engine did not start: {thread.failure}")
        sealing = make_parsers(config)
        given = sealing.guard(bus)
        raw = sealing if sealing.sealed else parsers  # what meets HAProxy's own lines, and warns of them
        observed = Observed(
            bus, engine, clock, stats.last_arrivals_ns, config.join.window_s, Loss(stats, ledger, watch)
        )
        addresses = await open_doors(
            config, stack, observed, store, stats, given=given, parsers=raw, spans=spans
        )
        addresses |= await listen_to_syslog(config, stack, given, clock, stats)
        stack.enter_context(announced(directory, addresses))
        yield addresses


async def serve(config: Config, stop: asyncio.Event, on_ready: Callable[[dict[str, str]], None]) -> bool:
    """Run until told to stop, or until a stage fails; says whether all ended well.

    Raises:
        ConfigError: The bus is a cluster.
    """
    if config.bus.servers:
        raise ConfigError(
            "bus.dsn is a cluster: run `hoptrail ingest` and `hoptrail join` instead of `serve`"
        )
    return await run_until(lambda fail: running(config, fail), config, stop, on_ready)


async def run_until(
    role: Callable[[Callable[[], None]], AbstractAsyncContextManager[dict[str, str]]],
    config: Config,
    stop: asyncio.Event,
    on_ready: Callable[[dict[str, str]], None],
) -> bool:
    """Run a role until told to stop, or until a stage fails; says whether all ended well."""
    loop = asyncio.get_running_loop()
    failed = False

    def fail() -> None:
        nonlocal failed
        failed = True
        loop.call_soon_threadsafe(stop.set)

    async with role(fail) as addresses:
        on_ready(addresses)
        await stop.wait()
        _log.info("stopping: sources first, then what is on the bus, within %.0f s", config.drain_s)
    return not failed
