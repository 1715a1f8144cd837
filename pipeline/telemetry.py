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
    Metric("hoptrail_bus_fill_ratio", "gauge", "1", "Share of the bus's byte cap in use."),
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
        "hoptrail_lag_seconds", "gauge", "s", "Age of the newest record read; 0 when the bus is read empty."
    ),
)

Snapshot = Callable[[], Mapping[str, Iterable[Sample]]]
"""Gives the samples of every metric by name."""


@contextmanager
def exported_metrics(snapshot: Snapshot) -> Iterator[Callable[[], bytes]]:
    """Register the metrics; gives a function that renders them in Prometheus' text format."""
    registry = prometheus_client.REGISTRY
    reader = PrometheusMetricReader()
    provider = MeterProvider(metric_readers=[reader])
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
