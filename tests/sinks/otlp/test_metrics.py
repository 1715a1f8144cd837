"""Our own metrics arrive at a receiver, under the names that are documented."""

from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from oteltap import OtelTapHttpProtobufReceiver

from pipeline.config import OtlpConfig
from pipeline.sinks.otlp import metric_readers
from pipeline.sinks.otlp.connect import make_transport
from pipeline.sinks.otlp.metrics import PushedMetrics
from pipeline.telemetry import METRICS, Sample, exported_metrics

LEFT: list[Sample] = [
    (7, {"outcome": "sent", "reason": ""}),
    (2, {"outcome": "dropped", "reason": "queue_full"}),
]


async def test_metrics_are_pushed_beside_the_page_that_prometheus_reads(
    tap: tuple[OtelTapHttpProtobufReceiver, int],
) -> None:
    receiver, port = tap
    config = OtlpConfig(
        endpoint=f"http://127.0.0.1:{port}", metrics=True, metrics_interval_s=1, compression="none"
    )
    samples = {"hoptrail_spans_left": LEFT, "hoptrail_spans_queued": [(3, {})]}
    with exported_metrics(lambda: samples, *metric_readers(config)) as page:
        got: Metric = await receiver.await_metric(lambda one: one.name == "hoptrail_spans_left", timeout=30)
        assert b"hoptrail_spans_queued{" in page()
    points = {_labels(point): point.as_double or point.as_int for point in got.sum.data_points}
    assert points == {("sent", ""): 7, ("dropped", "queue_full"): 2}
    assert got.sum.is_monotonic
    assert got.name in {metric.name for metric in METRICS}


def _labels(point: Any) -> tuple[str, str]:
    found = {a.key: a.value.string_value for a in point.attributes}
    return found["outcome"], found["reason"]


def test_nothing_is_pushed_unless_told() -> None:
    assert metric_readers(OtlpConfig(endpoint="http://127.0.0.1:1")) == []
    assert metric_readers(OtlpConfig(metrics=True)) == []


def test_a_report_that_is_not_taken_fails_and_does_not_raise(receiver: Any, make_say: Any) -> None:
    receiver.answers = [make_say(503)]
    exporter = PushedMetrics(make_transport(OtlpConfig(endpoint=receiver.endpoint), signal="metrics"))
    assert exporter.export(MetricsData(resource_metrics=[])) is MetricExportResult.FAILURE
    assert exporter.force_flush()
    exporter.shutdown()
