"""I/O: the engine's end of the span topic: frames go on it before their rows are written.

Back pressure: none. Where no broker takes a frame within `delivery_timeout_s` its spans are dropped and counted, and
so are all others for a while, unbuilt, so that a topic that takes nothing does not slow the join down.

Delivery: what `put` says is kept is on all replicas that must have it. Drops are counted on the topic too, by the
next message that gets there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from pipeline.bus.kafka.connection import client_settings
from pipeline.bus.kafka.refusals import explain
from pipeline.bus.kafka.span_messages import pack_frame, pack_span_drops
from pipeline.config import BusConfig
from pipeline.spans import MOST_BYTES, Frame
from pipeline.spans.waiting import BROKER_ERROR, TOO_LARGE

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_HEADROOM = 8192
"""Bytes of a message beside its value."""
_AT_ONCE = 8
"""Frames that are on their way together."""
_REST = 10
"""A topic that took nothing is left alone for so many times as long as was waited for it."""
_GRACE_S = 2.0
"""How much longer than the producer we wait: its own word is whether a message can still arrive."""
_DROPS_S = 1.0


class SpanTopic:
    """A `SpanInlet`, used from any loop; runs between `async with` and its end on the loop that made it.

    Args:
        producer: Started; closed by whoever made it.
        bus: Topic, message size, patience.
        most_unsent: Bytes that may wait for brokers.
    """

    why_full = BROKER_ERROR

    def __init__(self, producer: AIOKafkaProducer, bus: BusConfig, most_unsent: int) -> None:
        self._producer = producer
        self._bus = bus
        self._topic = bus.kafka.spans_topic
        self._limit = bus.kafka.message_bytes - _HEADROOM
        self.most_bytes = min(MOST_BYTES, self._limit // 2)
        self._most_unsent = most_unsent
        self._unsent = 0
        self._loop = asyncio.get_running_loop()
        self._rests_until = 0.0
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._ending = asyncio.Event()
        self._saving: asyncio.Task[None] | None = None
        self.uncounted: Counter[str] = Counter()
        """Drops that are not on the topic yet, by reason."""

    async def __aenter__(self) -> Self:
        self._saving = asyncio.create_task(self._save_drops(), name="span-drops")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._saving is not None:
            await self._saving
        if lost := sum(self.uncounted.values()):
            _log.error("stopped with %d dropped spans that no broker took the count of", lost)

    @property
    def room(self) -> int:
        """Bytes that may be put in now; none while the topic takes nothing."""
        return 0 if self._loop.time() < self._rests_until else max(0, self._most_unsent - self._unsent)

    async def put(self, frames: Sequence[Frame]) -> bool:
        """Put frames on the topic; on return the replicas have them, or they are counted as dropped."""
        return await self._there(self._put(frames))

    async def drop(self, reason: str, spans: int) -> None:
        """Count spans that never got in."""
        await self._there(self._drop(reason, spans))

    async def _there(self, act: Coroutine[Any, Any, _T]) -> _T:
        """Do something on the loop of the producer, wherever the caller is."""
        if asyncio.get_running_loop() is self._loop:
            return await act
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(act, self._loop))

    async def _drop(self, reason: str, spans: int) -> None:
        self.uncounted[reason] += spans

    async def _put(self, frames: Sequence[Frame]) -> bool:
        return all(await asyncio.gather(*[self._keep(frame) for frame in frames]))

    async def _keep(self, frame: Frame) -> bool:
        size, refusal = len(frame.body), TOO_LARGE
        if size <= self._limit:
            self._unsent += size
            try:
                async with self._turns:
                    refusal = await self._deliver(*pack_frame(frame))
            finally:
                self._unsent -= size
        if refusal:
            self.uncounted[refusal] += frame.spans
        return not refusal

    async def _deliver(self, value: bytes, headers: list[tuple[str, bytes]]) -> str:
        """Send one message and wait for the replicas; gives the reason why they do not have it, or nothing."""
        patience_s = self._bus.kafka.delivery_timeout_s
        if self._loop.time() < self._rests_until:
            return BROKER_ERROR
        try:
            async with asyncio.timeout(patience_s + _GRACE_S):
                acknowledged = await self._producer.send(self._topic, value, headers=headers)
                await asyncio.shield(_heard(acknowledged))
        except MessageSizeTooLargeError:
            _log.error("%s takes no message of %d bytes: see its max.message.bytes", self._topic, len(value))
            return TOO_LARGE
        except (KafkaError, TimeoutError, AssertionError) as error:
            # An AssertionError says that metadata does not know the topic's partitions: it was made anew.
            _log.warning(
                "%s took no spans, they are dropped for %.0f s: %s",
                self._topic, _REST * patience_s, explain(error, self._bus.kafka, "Write"),
            )  # fmt: skip
            self._rests_until = self._loop.time() + _REST * patience_s
            return BROKER_ERROR
        except Exception as error:  # noqa: BLE001 -- spans may never stop the engine
            _log.error("a message of spans cannot be sent: %s", type(error).__name__)
            return BROKER_ERROR
        return ""

    async def _save_drops(self) -> None:
        """Put counts of drops on the topic now and then, and once at the end."""
        while True:
            is_last = self._ending.is_set()
            drops, self.uncounted = self.uncounted, Counter()
            if drops and await self._deliver(*pack_span_drops(drops)):
                self.uncounted.update(drops)
            if is_last:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DROPS_S):
                    await self._ending.wait()


def make_span_producer(bus: BusConfig) -> AIOKafkaProducer:
    """Make a client that has not started. Spans that come twice are the same: it needs no idempotence.

    Raises:
        ConfigError: A file of `bus.kafka.security` cannot be read.
    """
    kafka = bus.kafka
    return AIOKafkaProducer(
        **client_settings(bus, "spans"),
        acks="all",
        compression_type="zstd",
        max_batch_size=MOST_BYTES,
        max_request_size=kafka.message_bytes,
        request_timeout_ms=int(kafka.delivery_timeout_s * 1000),
    )


def _heard(acknowledged: asyncio.Future[Any]) -> Awaitable[Any]:
    """See to it that a refusal that comes when nobody waits any more is taken note of."""
    acknowledged.add_done_callback(lambda done: done.cancelled() or done.exception())
    return acknowledged
