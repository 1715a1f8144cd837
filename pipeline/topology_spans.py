"""Spans of a join process: from its engines to a topic, and from the topic to the receiver, by whichever process.

As in `topology`: connections first, and leaving goes the other way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from pipeline.bus.kafka.connection import reach
from pipeline.bus.kafka.span_producing import SpanTopic, make_span_producer
from pipeline.bus.kafka.span_reading import SpanReader
from pipeline.bus.kafka.span_standing import make_span_consumer
from pipeline.clock import Clock
from pipeline.config import Config
from pipeline.sinks.otlp import Exporter, SpanExport
from pipeline.sinks.otlp.connect import make_transport
from pipeline.sinks.otlp.opened import make_span_sink
from pipeline.spans.waiting import DROPPED, SpanAccount
from pipeline.telemetry import Sample


class TopicSpans(NamedTuple):
    """What sends spans by a topic, while it does."""

    export: SpanExport
    reader: SpanReader

    def document(self) -> dict[str, Any]:
        """Give the account of the partitions that are ours, and the state of the receiver, for `status`."""
        return self.export.document() | {
            "lag_messages": self.reader.lag,
            "messages_gone": self.reader.gone,
        }

    def samples(self) -> dict[str, list[Sample]]:
        """Give the samples of its metrics; the topic's beside those of the topics of records."""
        return self.export.samples() | {
            "hoptrail_kafka_lag_messages": [(self.reader.lag, {"source": "spans"})],
            "hoptrail_kafka_messages_gone": [
                (self.reader.gone, {"source": "spans", "reason": "retention"}),
            ],
        }


@asynccontextmanager
async def open_topic_spans(
    config: Config, clock: Clock, before_gone: Callable[[], None]
) -> AsyncIterator[TopicSpans | None]:
    """Send spans by the topic while the block runs; gives None where nothing is to be sent.

    Args:
        config: What the operator set.
        clock: Says what is old.
        before_gone: Called when partitions are about to go to other processes.

    Raises:
        ConfigError: No broker answers, or a file of headers or a certificate cannot be used.
    """
    if not config.otlp.sends_spans:
        yield None
        return
    transport = make_transport(config.otlp)
    async with AsyncExitStack() as stack:
        producer, consumer = make_span_producer(config.bus), make_span_consumer(config.bus)
        for client in (producer, consumer):
            stack.push_async_callback(client.stop)
            await reach(client, config.bus)
        topic = await stack.enter_async_context(SpanTopic(producer, config.bus, config.otlp.queue_bytes))
        reader = await stack.enter_async_context(SpanReader(consumer, config.bus, clock, before_gone))
        exporter = Exporter(reader, transport)
        exporter.start()
        stack.push_async_callback(asyncio.to_thread, exporter.stop, config.drain_s)

        def account() -> SpanAccount:
            known = reader.account()
            fates = dict(known.fates)
            for reason, spans in dict(topic.uncounted).items():
                fates[DROPPED, reason] = fates.get((DROPPED, reason), 0) + spans
            return known._replace(fates=fates)

        sink = make_span_sink(config.otlp, topic)
        yield TopicSpans(SpanExport(sink, exporter, config.otlp.endpoint, account, reader.books), reader)


def all_samples(*many: Mapping[str, Iterable[Sample]]) -> Mapping[str, Iterable[Sample]]:
    """Put samples together; a metric that several have keeps those of each."""
    together: dict[str, list[Sample]] = {}
    for samples in many:
        for name, values in samples.items():
            together.setdefault(name, []).extend(values)
    return together
