"""What `serve` runs to send spans: queue, exporter and sink, from configuration."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

from pipeline.config import OtlpConfig
from pipeline.sinks.otlp.connect import make_transport
from pipeline.sinks.otlp.exporter import Exporter
from pipeline.sinks.otlp.queue import DROPPED, SENT, Fate, SpanAccount, SpanQueue
from pipeline.sinks.otlp.sink import SpanSink
from pipeline.spans import SamplingRules, Spans, SpanSettings
from pipeline.telemetry import Sample

QUEUE_FILE = "spans.db"
"""In the data directory."""


class SpanExport(NamedTuple):
    """What sends spans, while it does."""

    sink: SpanSink
    queue: SpanQueue
    exporter: Exporter
    endpoint: str
    before: Mapping[Fate, int]
    """What had become of spans when it was opened."""

    def document(self) -> dict[str, Any]:
        """Give the account and the state of the receiver, for `status`."""
        progress = self.exporter.progress
        return {
            **span_document(self.queue.account()),
            "endpoint": self.endpoint,
            "decided": dict(self.sink.decided),
            "retries": progress.retries,
            "trouble": progress.trouble or None,
        }

    def samples(self) -> dict[str, list[Sample]]:
        """Give the samples of its metrics."""
        account, progress = self.queue.account(), self.exporter.progress
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

    def counted(self) -> Iterator[tuple[str, str, int]]:
        """Give kind, reason and number of what became of spans and requests since it was opened: for the ledger."""
        for (kind, reason), spans in self.queue.account().fates.items():
            if new := spans - self.before.get((kind, reason), 0):
                yield kind, reason, new
        for decision, requests in dict(self.sink.decided).items():
            yield "decided", decision, requests


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
    if not config.endpoint or not config.traces:
        yield None
        return
    transport = make_transport(config)
    queue = SpanQueue(directory / QUEUE_FILE, config.queue_bytes)
    before = queue.account().fates
    exporter = Exporter(queue, transport)
    exporter.start()
    try:
        sink = SpanSink(queue, Spans(span_settings(config)), sampling_rules(config))
        yield SpanExport(sink, queue, exporter, config.endpoint, before)
    finally:
        await asyncio.to_thread(exporter.stop, drain_s)
        queue.close()


def span_settings(config: OtlpConfig) -> SpanSettings:
    """Give how spans are made."""
    return SpanSettings(
        edge_service=config.edge_service,
        gateway_service=config.gateway_service,
        context=config.context,
        networks=tuple(ipaddress.ip_network(network, strict=False) for network in config.networks),
        gateway_spans=config.gateway_spans,
        with_identity=config.identity,
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
