"""Receivers that listen on loopback and do as a test tells them; what they got is read by the official classes."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from pipeline.sinks.otlp.queue import SpanQueue
from pipeline.spans import Frame
from pipeline.spans.waiting import SpanAccount
from pipeline.spans.wire import SERVER, resource, resource_spans, scope, span, span_name

OK = ExportTraceServiceResponse().SerializeToString()
Say = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body of an answer."""


def say(status: int = 200, body: bytes = OK, **headers: str) -> Say:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


def partial(rejected: int, message: str) -> bytes:
    """Give the answer of a receiver that takes a request but for some spans."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = rejected
    answer.partial_success.error_message = message
    return answer.SerializeToString()


@dataclass
class Receiver:
    """Answers as told, one answer a request, then always the last."""

    port: int = 0
    answers: list[Any] = field(default_factory=list)
    taken: list[ExportTraceServiceRequest] = field(default_factory=list)
    """What was answered with success."""
    seen: list[Mapping[str, str]] = field(default_factory=list)
    """Headers of every request."""
    paths: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next_answer(self) -> Any:
        with self.changed:
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0] if self.answers else None

    def note(self, headers: Mapping[str, str], path: str, request: bytes, *, taken: bool) -> None:
        with self.changed:
            self.seen.append(headers)
            self.paths.append(path)
            if taken:
                self.taken.append(ExportTraceServiceRequest.FromString(request))
            self.changed.notify_all()

    def span_names(self) -> list[str]:
        with self.changed:
            return [
                one.name
                for request in self.taken
                for group in request.resource_spans
                for scoped in group.scope_spans
                for one in scoped.spans
            ]

    def wait(self, is_so: Callable[[], bool], within_s: float = 30.0) -> None:
        """Wait until the receiver has got what is wanted."""
        with self.changed:
            assert self.changed.wait_for(is_so, within_s), (len(self.seen), len(self.taken))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Listen for OTLP over HTTP."""
    about = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            answer = about.next_answer() or say()
            if answer == "hang":
                about.note(dict(self.headers), self.path, body, taken=False)
                about.closing.wait(60)
                self.close_connection = True
                return
            if answer == "cut":
                about.note(dict(self.headers), self.path, body, taken=False)
                self.close_connection = True
                return
            status, headers, said = answer
            about.note(
                {name.lower(): value for name, value in self.headers.items()},
                self.path,
                body,
                taken=status == 200 and self.path.endswith("traces"),
            )
            self.send_response(status)
            for name, value in {"content-length": str(len(said)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(self.headers["content-length"]))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        about.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield about
        about.closing.set()
        server.shutdown()
        thread.join()


def refusal(code: grpc.StatusCode, words: str, retry_s: float | None = None) -> tuple[Any, ...]:
    """Give what a gRPC receiver answers instead of success."""
    details = ()
    if retry_s is not None:
        info, packed = RetryInfo(), AnyMessage()
        info.retry_delay.FromMilliseconds(int(retry_s * 1000))
        packed.Pack(info)
        status = Status(code=code.value[0], message=words, details=[packed])
        details = (("grpc-status-details-bin", status.SerializeToString()),)
    return code, words, details


@pytest.fixture
def grpc_receiver() -> Iterator[Receiver]:
    """Listen for OTLP over gRPC."""
    about = Receiver()

    def export(request: bytes, context: grpc.ServicerContext) -> bytes:
        answer = about.next_answer()
        headers = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
        about.note(headers, "", request, taken=answer is None or isinstance(answer, bytes))
        if isinstance(answer, tuple):
            code, words, details = answer
            context.set_trailing_metadata(details)
            context.abort(code, words)
        return answer or OK

    server = grpc.server(ThreadPoolExecutor(2))
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    about.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield about
    server.stop(None).wait()


def frame(name: str, spans: int = 2) -> Frame:
    """Give a frame of spans that are all called so."""
    bodies = [
        span(b"t" * 16, number.to_bytes(8, "big"), b"", span_name(name), SERVER, 1, 2, b"")
        for number in range(1, spans + 1)
    ]
    about = resource([("service.name", "haproxy")])
    return Frame(resource_spans(about, scope("hoptrail", "0"), "url", bodies), spans)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[SpanQueue]:
    """Open a queue of a mebibyte."""
    opened = SpanQueue(tmp_path / "spans.db", 2**20)
    yield opened
    opened.close()


def settled(queue: SpanQueue, within_s: float = 30.0) -> SpanAccount:
    """Wait until nothing is queued any more; gives the account."""
    deadline = time.monotonic() + within_s
    while (account := queue.account()).queued:
        assert time.monotonic() < deadline, account
        time.sleep(0.01)  # between two looks, not instead of one
    return account


@pytest.fixture
def make_frame() -> Callable[..., Frame]:
    return frame


@pytest.fixture
def make_say() -> Callable[..., Say]:
    return say


@pytest.fixture
def make_partial() -> Callable[..., bytes]:
    return partial


@pytest.fixture
def make_refusal() -> Callable[..., Any]:
    return refusal


@pytest.fixture
def until_settled() -> Callable[..., SpanAccount]:
    return settled


def unused_port() -> int:
    """Give a port that nothing listens on now: these programs cannot be told to choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def tap() -> AsyncIterator[tuple[OtelTapHttpProtobufReceiver, int]]:
    """Listen with OtelTap."""
    port = unused_port()
    async with OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(http_port=port)) as receiver:
        yield receiver, port


@pytest.fixture
def free_port() -> Callable[[], int]:
    return unused_port
