"""I/O: the side of the bus that sources give to: packs records by partition, and tells when brokers have them.

Back pressure: `buffer_bytes` of records that no broker has acknowledged are held; beyond that, and where no broker
acknowledges in time, `append` raises `BusFull` and `append_nowait` counts a drop.

Delivery: an append that returned is on all replicas that must have it. What nobody waits for is sent again until
it is; a kill loses what was not acknowledged yet. Drops lie on the bus as counts, so that the account knows them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from aiokafka.errors import KafkaError

from pipeline.bus.kafka.gathering import Gathering, Limits, Packet, Ticket, size_of
from pipeline.bus.kafka.keys import Keyer
from pipeline.bus.kafka.packing import pack, pack_drops
from pipeline.bus.kafka.producing import Acknowledged, Producer
from pipeline.bus.kafka.refusals import explain
from pipeline.bus.waking import Waiter, wake
from pipeline.config import KafkaConfig
from pipeline.contracts import Account
from pipeline.errors import BusFull
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

_log = logging.getLogger(__name__)

_DROPS_S = 0.2
"""How often drops are put on the bus."""
_AGAIN_S = 0.5
"""How long a packet rests that no broker took."""
_HEADROOM = 8192
"""Bytes of a message beside its records."""


class IngestBus:
    """An `Inlet`; runs between `async with` and its end.

    Args:
        producer: Started; closed by whoever made it.
        make_keyer: Makes one for each thread that gives records: parsers' caches are a thread's own.
        drain_s: Seconds that leaving may take to hand on what is held.
    """

    def __init__(
        self, producer: Producer, config: KafkaConfig, make_keyer: Callable[[], Keyer], drain_s: float
    ) -> None:
        self._producer = producer
        self._topics = {Source.HAPROXY: config.edge_topic, Source.KONG: config.gateway_topic}
        self._config = config
        self._drain_s = drain_s
        self._make_keyer = make_keyer
        self._keyers = threading.local()
        self._lock = threading.Lock()
        self._gathering = Gathering(Limits(config.pack_records, config.message_bytes - _HEADROOM))
        self._bytes = 0
        self._pending: Counter[Source] = Counter()
        self._drops: Counter[tuple[Source, str]] = Counter()
        self._dropped: Counter[Outcome] = Counter()
        self._loop = asyncio.get_running_loop()
        self._is_called = False
        self._ending = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._saving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._saving = asyncio.create_task(self._save_drops(), name="drops")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        if self._sending:
            await asyncio.wait(self._sending, timeout=self._drain_s)
        self._ending.set()
        for task in tuple(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if lost := sum(self._pending.values()):
            _log.error("stopped with %d records that no broker took; they are lost", lost)
        if self._saving is not None:
            await self._saving

    async def append(self, delivery: Delivery) -> None:
        """Keep a delivery; on return the replicas have it.

        Raises:
            BusFull: Not all of it is kept; whoever sends it again doubles what was, which the store knows.
        """
        if not delivery.bodies:
            return
        waiter = Waiter()

        def tell(is_kept: bool) -> None:
            waiter.error = None if is_kept else BusFull("no broker acknowledged in time")
            wake([waiter])

        with self._lock:
            if self._bytes + size_of(delivery.bodies) > self._config.buffer_bytes and self._bytes:
                raise BusFull("the brokers do not keep up")
        self._add(delivery, Ticket(tell))
        await waiter.future

    def append_nowait(self, delivery: Delivery) -> None:
        """Keep a delivery, or count its records as dropped with the reason `bus_full`."""
        if self._bytes + size_of(delivery.bodies) > self._config.buffer_bytes:
            self.count_drop(delivery.source, "bus_full", len(delivery.bodies))
        elif delivery.bodies:
            self._add(delivery, None)

    def count_drop(self, source: Source, reason: str, count: int) -> None:
        """Count records that never reached the bus; on it within a fraction of a second, where it can be reached."""
        with self._lock:
            self._drops[source, reason] += count
            self._dropped[Outcome(source, OutcomeKind.DROPPED, reason)] += count

    def account(self) -> Account:
        """Give what this process dropped, and what it holds."""
        with self._lock:
            return Account(dict(self._dropped), {source: self._pending[source] for source in Source})

    @property
    def fill(self) -> float:
        """Share of `buffer_bytes` that waits for brokers."""
        return min(1.0, self._bytes / self._config.buffer_bytes)

    def _add(self, delivery: Delivery, ticket: Ticket | None) -> None:
        """Spread a delivery over the partitions' packets, and see to it that they are sent."""
        keyer: Keyer | None = getattr(self._keyers, "own", None)
        if keyer is None:
            keyer = self._keyers.own = self._make_keyer()
        source, partitions = delivery.source, self._config.partitions
        by_partition: dict[int, list[bytes]] = {}
        for body in delivery.bodies:
            by_partition.setdefault(keyer.partition(source, body, partitions), []).append(body)
        with self._lock:
            for partition, bodies in by_partition.items():
                self._bytes += self._gathering.add(
                    source,
                    partition,
                    bodies,
                    arrival_ns=delivery.arrival_ns,
                    peer=delivery.peer,
                    ticket=ticket,
                )
            self._pending[source] += len(delivery.bodies)
            if self._is_called:
                return
            self._is_called = True
        self._loop.call_soon_threadsafe(self._called)

    def _called(self) -> None:
        """Let others come for `linger_s`, then send what is there."""
        self._loop.call_later(self._config.linger_s, self._flush)

    def _flush(self) -> None:
        with self._lock:
            self._is_called = False
            packets = self._gathering.take(everything=True)
        for packet in packets:
            task = self._loop.create_task(self._send(packet))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, packet: Packet) -> None:
        """Send a packet; what somebody waits for once, the rest until it is kept."""
        while True:
            message = pack(packet.source, packet.slices)
            is_kept = await self._deliver(packet.source, packet.partition, *message, packet.tickets)
            left = 0 if is_kept else sum(len(each.bodies) for each in packet.patient)
            size = sum(size_of(each.bodies) for each in packet.patient) if left else 0
            with self._lock:
                self._bytes -= packet.bytes - size
                self._pending[packet.source] -= packet.records - left
            if not left:
                return
            packet.slices, packet.tickets, packet.records, packet.bytes = packet.patient, [], left, size
            await asyncio.sleep(_AGAIN_S)

    async def _deliver(
        self,
        source: Source,
        partition: int,
        value: bytes,
        headers: list[tuple[str, bytes]],
        tickets: Sequence[Ticket] = (),
    ) -> bool:
        """Send one message and wait for the replicas; says whether they have it.

        Those who wait are told within `delivery_timeout_s` whether they have it by then.
        """
        sent: Acknowledged | None = None
        try:
            async with asyncio.timeout(self._config.delivery_timeout_s):
                sent = await self._producer.send(
                    self._topics[source], value, partition=partition, headers=headers
                )
                await asyncio.shield(sent)
        except (KafkaError, TimeoutError, AssertionError) as error:
            # An AssertionError says that metadata does not know the partition: the topic was made anew.
            why = explain(error, self._config, "Write")
            _log.warning("%s/%d took no message: %s", self._topics[source], partition, why)
            _settle(tickets, is_kept=False)
            return sent is not None and self._config.idempotent and await _in_the_end(sent)
        _settle(tickets, is_kept=True)
        return True

    async def _save_drops(self) -> None:
        """Put drops on the bus now and then, and once at the end."""
        while True:
            is_last = self._ending.is_set()
            with self._lock:
                drops, self._drops = self._drops, Counter()
            by_source: dict[Source, dict[str, int]] = {}
            for (source, reason), count in drops.items():
                by_source.setdefault(source, {})[reason] = count
            for source, counts in by_source.items():
                if not await self._deliver(source, 0, *pack_drops(source, counts)):
                    self._keep_drops(source, counts)
            if is_last:
                return
            try:
                async with asyncio.timeout(_DROPS_S):
                    await self._ending.wait()
            except TimeoutError:
                continue

    def _keep_drops(self, source: Source, counts: Mapping[str, int]) -> None:
        with self._lock:
            for reason, count in counts.items():
                self._drops[source, reason] += count


def _settle(tickets: Sequence[Ticket], *, is_kept: bool) -> None:
    for ticket in tickets:
        ticket.settle(is_kept)


async def _in_the_end(sent: Acknowledged) -> bool:
    """Wait until a message is kept or refused: an idempotent producer goes on, and a second one would double it."""
    try:
        await asyncio.shield(sent)
    except KafkaError:
        return False
    return True
