"""Our own metrics, pushed over OTLP every so often, beside the page that Prometheus reads."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
)

from pipeline.sinks.otlp.answers import Taken
from pipeline.sinks.otlp.exporter import Transport

_log = logging.getLogger(__name__)


class PushedMetrics(MetricExporter):
    """Sends reports by one of our transports. A report that does not arrive is not repeated: the next says more.

    Args:
        transport: To the receiver of metrics.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport
        self._trouble = ""

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 -- the SDK's signature; the transport has its own
        **_: Any,  # noqa: ANN401 -- the same
    ) -> MetricExportResult:
        """Send one report."""
        answer = self._transport.send(encode_metrics(metrics_data).SerializeToString())
        if isinstance(answer, Taken):
            self._trouble = ""
            return MetricExportResult.SUCCESS
        if answer.words != self._trouble:
            _log.warning("our metrics were not taken: %s", answer.words)
        self._trouble = answer.words
        return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 -- the SDK's signature
        """Do nothing: nothing is held back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ANN401, ARG002 -- the same
        """Give the connection up."""
        self._transport.close()
