"""PURE: from a lineage to OpenTelemetry spans: ids, names, attributes, sampling, and their bytes on the wire.

Semantic conventions 1.44, W3C Trace Context, OTLP 1.10 protobuf. Spans are encoded as they are built: objects
in between, or the protobuf classes, cost several times as much. Nothing here sends, waits or counts.
"""

from pipeline.spans.frames import MOST_BYTES, Frame, Framer
from pipeline.spans.lineage import Built, Spans
from pipeline.spans.sampling import DROPPED, REASONS, SamplingRules, decide
from pipeline.spans.settings import SpanSettings

__all__ = [
    "DROPPED",
    "MOST_BYTES",
    "REASONS",
    "Built",
    "Frame",
    "Framer",
    "SamplingRules",
    "SpanSettings",
    "Spans",
    "decide",
]
