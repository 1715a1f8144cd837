"""I/O: finished spans from the engine to an OTLP receiver.

*Back pressure*: none. The engine puts requests' spans into a bounded queue on disk and goes on; what does not fit
is dropped, and counted with its reason. A receiver that is away, slow or flapping never holds back the bus.

*Delivery*: spans are on disk before the row that says they were sent, and leave the queue when the receiver has
taken them. A kill in between repeats identical spans, and loses none.
"""

from pipeline.sinks.otlp.exporter import Exporter
from pipeline.sinks.otlp.opened import QUEUE_FILE, SpanExport, metric_readers, open_spans, span_document
from pipeline.sinks.otlp.queue import SpanQueue, read_account
from pipeline.sinks.otlp.sink import SpanSink

__all__ = [
    "QUEUE_FILE",
    "Exporter",
    "SpanExport",
    "SpanQueue",
    "SpanSink",
    "metric_readers",
    "open_spans",
    "read_account",
    "span_document",
]
