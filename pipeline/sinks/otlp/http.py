"""OTLP over HTTP with protobuf bodies, on one kept connection."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from pipeline.sinks.otlp.answers import Answer, Later, Taken, answer_of_status, shortened

_LONGEST_ANSWER = 2**16
_FASTEST = 1
"""gzip level: a larger one costs five times the time for a tenth of the bytes."""
_OK = range(200, 300)


class HttpTransport:
    """Posts export requests; used by one thread.

    Args:
        endpoint: URL; `/v1/traces` is appended where it has no path.
        headers: Sent with each request.
        compress: With gzip.
        timeout_s: Longest silence of the receiver.
        tls: For `https`.
        signal: `traces` or `metrics`.
    """

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        *,
        compress: bool,
        timeout_s: float,
        tls: ssl.SSLContext | None,
        signal: str = "traces",
    ) -> None:
        self._url = urlsplit(endpoint)
        self._path = path_of(self._url, signal)
        self._headers = {**headers, "Content-Type": "application/x-protobuf", "User-Agent": "hoptrail"}
        if compress:
            self._headers["Content-Encoding"] = "gzip"
        self._compress = compress
        self._connection = _connection(self._url, timeout_s, tls)

    def send(self, body: bytes) -> Answer:
        """Post one request; gives what the receiver made of it, and never raises for it."""
        content = gzip.compress(body, _FASTEST, mtime=0) if self._compress else body
        try:
            self._connection.request("POST", self._path, content, self._headers)
            answer = self._connection.getresponse()
            said = answer.read(_LONGEST_ANSWER)
            if not answer.isclosed():
                self._connection.close()  # more than any receiver has to say: not to be read
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            return Later(shortened(f"{type(error).__name__}: {error}"))
        if answer.status in _OK:
            return taken(said)
        self._connection.close()
        return answer_of_status(answer.status, answer.getheader("Retry-After"), _words(said))

    def interrupt(self) -> None:
        """Make a `send` that waits for an answer fail; from any thread."""
        connected = self._connection.sock
        if connected is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(
                    connected, socket.SHUT_RDWR
                )  # a TLS socket's own would race its reader

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._connection.close()


def path_of(url: SplitResult, signal: str) -> str:
    """Give the path of a receiver's URL; the specification's own where it has none, or names the other signal."""
    if not url.path.strip("/"):
        return f"/v1/{signal}"
    path = url.path.removesuffix("/")
    return f"{path.removesuffix('/v1/traces')}/v1/{signal}" if path.endswith("/v1/traces") else url.path


def taken(body: bytes) -> Taken:
    """Read how many spans a receiver that said 200 did not take; words of another protocol say nothing."""
    try:
        part = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Taken()
    return Taken(max(0, part.rejected_spans), shortened(part.error_message))


def _words(body: bytes) -> str:
    """Give what a receiver said of an error: text, or the message of a `google.rpc.Status`."""
    return shortened(body.decode("utf-8", "replace").strip("\x00"))


def _connection(url: SplitResult, timeout_s: float, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    host, port = url.hostname or "", url.port
    if url.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)
    return http.client.HTTPConnection(host, port, timeout=timeout_s)
