"""Every metric we emit: its name, unit and meaning, in one place.

The numbers come from a `Snapshot` that is taken when somebody asks; nothing is counted twice for the
sake of a metric. Exposed for Prometheus; the names are part of what outsiders rely on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import prometheus_client
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader

Sample = tuple[float, Mapping[str, str]]
"""A value and its labels; labels come from closed sets alone."""


class Metric(NamedTuple):
    """What we promise about one metric."""

    name: str
    kind: str
    """`counter` (Prometheus adds `_total`) or `gauge`."""
    unit: str
    """As OpenTelemetry writes it: `1`, `s`, `By`, or `{record}`."""
    meaning: str


METRICS = (
    Metric("hoptrail_records_received", "counter", "{record}", "Records that entered, by source."),
    Metric(
        "hoptrail_records_left",
        "counter",
        "{record}",
        "Records that left, by source, outcome (stored, event, duplicate, dead_letter, dropped) and reason.",
    ),
    Metric(
        "hoptrail_records_pending", "gauge", "{record}", "Records on the bus and not committed, by source."
    ),
    Metric("hoptrail_source_silence_seconds", "gauge", "s", "Time since a source last sent anything."),
    Metric(
        "hoptrail_source_refused",
        "counter",
        "{refusal}",
        "Connections and posts turned away before a record was read, by listener and reason.",
    ),
    Metric(
        "hoptrail_edge_lines_missing",
        "gauge",
        "{line}",
        "Lines of the last ten minutes that HAProxy counted and that did not come.",
    ),
    Metric(
        "hoptrail_edge_lines_dropped",
        "gauge",
        "{line}",
        "Lines of the last ten minutes that HAProxy says it threw away itself.",
    ),
    Metric(
        "hoptrail_kafka_lag_messages", "gauge", "{message}", "Messages on our topics not read yet, by source."
    ),
    Metric(
        "hoptrail_kafka_messages_gone",
        "counter",
        "{message}",
        "Messages that were gone before they were read, by source and reason (retention); each held many records.",
    ),
    Metric("hoptrail_kafka_partitions_assigned", "gauge", "{partition}", "Partitions that this process has."),
    Metric(
        "hoptrail_kafka_partitions_paused",
        "gauge",
        "{partition}",
        "Of them, paused while the join is behind.",
    ),
    Metric("hoptrail_kafka_rebalances", "counter", "{rebalance}", "How often partitions were given out."),
    Metric("hoptrail_ledger_age_seconds", "gauge", "s", "Time since the ledger was written."),
    Metric("hoptrail_bus_fill_ratio", "gauge", "1", "Share of the bus's byte cap in use."),
    Metric(
        "hoptrail_source_lateness_seconds",
        "gauge",
        "s",
        "Arrival minus the end of the request as logged, by source and quantile (0.5, 0.9, 0.99, 1), of the "
        "newest 1000 samples; below 0 the source's clock runs ahead.",
    ),
    Metric(
        "hoptrail_join_second_half_seconds",
        "gauge",
        "s",
        "How long first halves waited that were met in memory, by the second's source and quantile.",
    ),
    Metric("hoptrail_join_pending", "gauge", "{record}", "Halves that wait for their other side."),
    Metric("hoptrail_join_pending_bytes", "gauge", "By", "Memory that waiting halves take, estimated."),
    Metric("hoptrail_join_wait_seconds", "gauge", "s", "How long the oldest waiting half has waited."),
    Metric("hoptrail_join_evicted", "counter", "{record}", "Groups given up because memory or bus was full."),
    Metric("hoptrail_join_late", "counter", "{record}", "Groups united with a row that was already stored."),
    Metric(
        "hoptrail_lineages_written", "counter", "{row}", "Rows written, by outcome; rewrites count again."
    ),
    Metric("hoptrail_store_batches_written", "counter", "{batch}", "Batches made durable."),
    Metric("hoptrail_store_write_errors", "counter", "{error}", "Answers the store did not give."),
    Metric(
        "hoptrail_span_requests_decided",
        "counter",
        "{request}",
        "Requests whose spans are sent, by the reason, or `dropped`; one decided again counts again.",
    ),
    Metric(
        "hoptrail_spans_left",
        "counter",
        "{span}",
        "Spans that left the queue of what is sent, by outcome (sent, dropped) and reason.",
    ),
    Metric("hoptrail_spans_queued", "gauge", "{span}", "Spans that wait for the receiver."),
    Metric("hoptrail_spans_queued_bytes", "gauge", "By", "Bytes of the spans that wait."),
    Metric(
        "hoptrail_spans_export_retries", "counter", "{request}", "Requests to the receiver to be repeated."
    ),
    Metric(
        "hoptrail_lag_seconds", "gauge", "s", "Age of the newest record read; 0 when the bus is read empty."
    ),
)

Snapshot = Callable[[], Mapping[str, Iterable[Sample]]]
"""Gives the samples of every metric by name."""


@contextmanager
def exported_metrics(snapshot: Snapshot, *readers: MetricReader) -> Iterator[Callable[[], bytes]]:
    """Register the metrics; gives a function that renders them in Prometheus' text format.

    Args:
        snapshot: Gives the samples.
        readers: What takes the metrics elsewhere.
    """
    registry = prometheus_client.REGISTRY
    reader = PrometheusMetricReader()
    provider = MeterProvider(metric_readers=[reader, *readers])
    meter = provider.get_meter("hoptrail")
    for metric in METRICS:
        _register(meter, metric, snapshot)
    try:
        yield lambda: prometheus_client.generate_latest(registry)
    finally:
        provider.shutdown()


def _register(meter: Meter, metric: Metric, snapshot: Snapshot) -> None:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, dict(labels)) for value, labels in snapshot().get(metric.name, ())]

    create: Callable[..., Any] = (
        meter.create_observable_counter if metric.kind == "counter" else meter.create_observable_gauge
    )
    # Names carry their unit already; an OpenTelemetry unit would make the exporter append another.
    create(metric.name, callbacks=[observe], description=metric.meaning)
