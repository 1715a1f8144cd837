"""What `serve` runs to send spans: queue, exporter and sink, from configuration."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

from pipeline.config import OtlpConfig
from pipeline.data_dir import load_key
from pipeline.sinks.otlp.connect import make_transport
from pipeline.sinks.otlp.exporter import Exporter
from pipeline.sinks.otlp.queue import QueueInlet, SpanQueue
from pipeline.sinks.otlp.sink import SpanSink
from pipeline.spans import SamplingRules, Spans, SpanSettings
from pipeline.spans.waiting import DROPPED, SENT, SpanAccount, SpanInlet
from pipeline.telemetry import Sample

QUEUE_FILE = "spans.db"
"""In the data directory."""


class Line(NamedTuple):
    """A number of the ledger's."""

    kind: str
    """`made`, `sent`, `dropped`, `queued`; of requests `decided`."""
    reason: str
    total: int
    instance: str
    """Who counts it; empty: this process, since it began."""


class SpanExport(NamedTuple):
    """What sends spans, while it does."""

    sink: SpanSink
    exporter: Exporter
    endpoint: str
    account: Callable[[], SpanAccount]
    """Of all spans that this process knows of."""
    books: Callable[[], Mapping[str, SpanAccount]]
    """The same by the part that keeps it, under a name that outlives this process."""

    def document(self) -> dict[str, Any]:
        """Give the account and the state of the receiver, for `status`."""
        progress = self.exporter.progress
        return {
            **span_document(self.account()),
            "endpoint": self.endpoint,
            "decided": dict(self.sink.decided),
            "retries": progress.retries,
            "trouble": progress.trouble or None,
        }

    def samples(self) -> dict[str, list[Sample]]:
        """Give the samples of its metrics."""
        account, progress = self.account(), self.exporter.progress
        return {
            "hoptrail_span_requests_decided": [
                (count, {"decision": decision}) for decision, count in dict(self.sink.decided).items()
            ],
            "hoptrail_spans_left": [
                (spans, {"outcome": kind, "reason": reason})
                for (kind, reason), spans in account.fates.items()
            ],
            "hoptrail_spans_queued": [(account.queued, {})],
            "hoptrail_spans_queued_bytes": [(account.queued_bytes, {})],
            "hoptrail_spans_export_retries": [(progress.retries, {})],
        }

    def counted(self) -> Iterator[Line]:
        """Give the numbers of the ledger: of spans those since their queue began, of requests since the process did."""
        for instance, account in self.books().items():
            for kind, reason, spans in account.numbers():
                yield Line(kind, reason, spans, instance)
        for decision, requests in dict(self.sink.decided).items():
            yield Line("decided", decision, requests, "")


def span_document(account: SpanAccount) -> dict[str, Any]:
    """Give what came of all spans ever made; `received` is the sum of the others."""
    dropped = {reason: spans for (kind, reason), spans in account.fates.items() if kind == DROPPED}
    return {
        "received": account.received,
        "sent": account.fates.get((SENT, ""), 0),
        "dropped": sum(dropped.values()),
        "queued": account.queued,
        "queued_bytes": account.queued_bytes,
        "drop_reasons": dropped,
    }


def metric_readers(config: OtlpConfig) -> list[MetricReader]:
    """Give what pushes our own metrics; nothing where that is not configured.

    Raises:
        ConfigError: A file of headers or a certificate cannot be used.
    """
    if not config.endpoint or not config.metrics:
        return []
    # the protobuf classes take a tenth of a second to import
    from pipeline.sinks.otlp.metrics import PushedMetrics  # noqa: PLC0415

    exporter = PushedMetrics(make_transport(config, signal="metrics"))
    return [PeriodicExportingMetricReader(exporter, export_interval_millis=config.metrics_interval_s * 1000)]


@asynccontextmanager
async def open_spans(config: OtlpConfig, directory: Path, drain_s: float) -> AsyncIterator[SpanExport | None]:
    """Send spans while the block runs; gives None where nothing is to be sent.

    Args:
        config: What the operator set.
        directory: Where the queue rests.
        drain_s: Seconds that leaving may take; what is left then goes out at the next start.

    Raises:
        ConfigError: The queue, a file of headers or a certificate cannot be used.
    """
    if not config.sends_spans:
        yield None
        return
    transport = make_transport(config)
    queue = SpanQueue(directory / QUEUE_FILE, config.queue_bytes)
    exporter = Exporter(queue, transport)
    exporter.start()
    try:
        sink = make_span_sink(config, QueueInlet(queue))
        yield SpanExport(
            sink, exporter, config.endpoint, queue.account, lambda: {queue.name: queue.account()}
        )
    finally:
        await asyncio.to_thread(exporter.stop, drain_s)
        queue.close()


def make_span_sink(config: OtlpConfig, inlet: SpanInlet) -> SpanSink:
    """Make the engine's side of a queue."""
    return SpanSink(inlet, Spans(span_settings(config)), sampling_rules(config))


def span_settings(config: OtlpConfig) -> SpanSettings:
    """Give how spans are made.

    Raises:
        ConfigError: The key of pseudonyms cannot be read, or is too short.
    """
    file = config.pseudonym_key_file
    return SpanSettings(
        edge_service=config.edge_service,
        gateway_service=config.gateway_service,
        context=config.context,
        networks=tuple(ipaddress.ip_network(network, strict=False) for network in config.networks),
        gateway_spans=config.gateway_spans,
        with_identity=config.identity,
        pseudonym_key=load_key(file, create=False, setting="otlp.pseudonym_key_file") if file else None,
    )


def sampling_rules(config: OtlpConfig) -> SamplingRules:
    """Give whose spans are sent."""
    wanted = config.sampling
    return SamplingRules(
        errors=wanted.errors,
        retries=wanted.retries,
        conflicts=wanted.conflicts,
        slow_ms=wanted.slow_ms,
        slow_routes_ms=dict(wanted.slow_routes_ms),
        follow_caller=wanted.follow_caller,
        share=wanted.share,
    )
