"""OTLP over gRPC; the bytes are sent as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from pipeline.sinks.otlp.answers import LONGEST_PAUSE_S, REFUSED, Answer, Later, Refused, Taken, shortened

_METHODS = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
"""Their answers have the same fields."""
_DETAILS = "grpc-status-details-bin"
_CODE = grpc.StatusCode
_LATER = frozenset(
    {
        _CODE.CANCELLED,
        _CODE.DEADLINE_EXCEEDED,
        _CODE.ABORTED,
        _CODE.OUT_OF_RANGE,
        _CODE.UNAVAILABLE,
        _CODE.DATA_LOSS,
    }
)
_REASONS = {
    _CODE.INVALID_ARGUMENT: "bad_request",
    _CODE.UNAUTHENTICATED: "unauthorized",
    _CODE.PERMISSION_DENIED: "unauthorized",
    _CODE.RESOURCE_EXHAUSTED: "too_large",
}
_DEFAULT_PORTS = {"http": 4317, "https": 443}


class GrpcTransport:
    """Calls `TraceService/Export`; used by one thread.

    Args:
        endpoint: URL of which scheme, host and port count.
        headers: Sent as metadata, names in lower case.
        compress: With gzip.
        timeout_s: Longest time of one call.
        credentials: For `https`.
        signal: `traces` or `metrics`.
    """

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        *,
        compress: bool,
        timeout_s: float,
        credentials: grpc.ChannelCredentials | None,
        signal: str = "traces",
    ) -> None:
        url = urlsplit(endpoint)
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        target = f"{host}:{url.port or _DEFAULT_PORTS[url.scheme]}"
        options = [("grpc.max_reconnect_backoff_ms", 5000)]
        self._channel = (
            grpc.secure_channel(target, credentials, options)
            if credentials is not None
            else grpc.insecure_channel(target, options)
        )
        self._export: Any = self._channel.unary_unary(
            _METHODS[signal],
            request_serializer=None,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )
        self._metadata = [(name.lower(), value) for name, value in headers.items()]
        self._compression = grpc.Compression.Gzip if compress else grpc.Compression.NoCompression
        self._timeout_s = timeout_s

    def send(self, body: bytes) -> Answer:
        """Make one call; gives what the receiver made of it, and never raises for it."""
        try:
            answer = self._export(
                body, timeout=self._timeout_s, metadata=self._metadata, compression=self._compression
            )
        except grpc.RpcError as error:
            return _answer_of(error)
        except ValueError as error:  # the channel was closed meanwhile
            return Later(str(error))
        part = answer.partial_success
        return Taken(max(0, part.rejected_spans), shortened(part.error_message))

    def interrupt(self) -> None:
        """Cancel a call that waits; from any thread."""
        self._channel.close()

    def close(self) -> None:
        """Close the channel; safe to call twice."""
        self._channel.close()


def _answer_of(error: Any) -> Answer:  # noqa: ANN401 -- an RpcError of a call is a Call as well, untyped
    code, words = error.code(), shortened(f"{error.code().name}: {error.details()}")
    pause_s = _pause(error.trailing_metadata() or ())
    if code in _LATER or (code is _CODE.RESOURCE_EXHAUSTED and pause_s is not None):
        return Later(words, pause_s)
    return Refused(_REASONS.get(code, REFUSED), words)


def _pause(metadata: Any) -> float | None:  # noqa: ANN401 -- grpc's own metadata, untyped
    """Read the `RetryInfo` that a receiver which throttles attaches; None where there is none."""
    for name, value in metadata:
        if name != _DETAILS or not isinstance(value, bytes):
            continue
        try:
            status = Status.FromString(value)
        except DecodeError:
            return None
        for detail in status.details:
            info = RetryInfo()
            if detail.Unpack(info):
                seconds: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
                return max(0.0, min(seconds, LONGEST_PAUSE_S))
    return None


def credentials(ca: bytes | None, key: bytes | None, cert: bytes | None) -> grpc.ChannelCredentials:
    """Make credentials of PEM bytes; without authorities gRPC's own are trusted."""
    return grpc.ssl_channel_credentials(ca, key, cert)
