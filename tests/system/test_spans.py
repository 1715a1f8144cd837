"""The whole process and its receiver: what arrives, through a kill, and with an application's own spans below."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pipeline.demo.declared import load_declared
from pipeline.demo.edge import stand_in_edge
from pipeline.demo.edge_line import EdgeLines
from pipeline.demo.edge_rules import load_rules
from pipeline.demo.gateway import Gateway, gateway_listeners
from pipeline.demo.http1 import HttpConnection
from pipeline.demo.http_listener import Exchange, Reply, http_listener
from pipeline.demo.log_queue import open_log_queue
from pipeline.demo.upstreams import open_upstreams
from pipeline.resources import resource

LOG_FORMAT = (
    "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs "
    "%{+Q}r %ID"
)
Serve = Callable[..., Any]
Arrived = tuple[str, Span]
"""`service.name` and span."""


class Receiver:
    """Takes OTLP over HTTP, and keeps what the official classes read of it."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self._changed = threading.Condition()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            for group in request.resource_spans:
                names = {a.key: a.value.string_value for a in group.resource.attributes}
                self.arrived += [(names["service.name"], s) for one in group.scope_spans for s in one.spans]
            self._changed.notify_all()

    def wait_for(self, count: int, within_s: float = 60) -> list[Arrived]:
        """Wait until so many different spans have come; gives each once."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._once()) >= count, within_s), len(self._once())
            return self._once()

    def _once(self) -> list[Arrived]:
        return list({(span.trace_id, span.span_id): (name, span) for name, span in self.arrived}.values())


@contextmanager
def receiving(port: int = 0) -> Iterator[tuple[Receiver, str]]:
    """Listen; gives the receiver and its endpoint."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield receiver, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _accounted(status: dict[str, Any], *, sent: int) -> bool:
    spans = status["spans"]
    assert spans["received"] == spans["sent"] + spans["dropped"] + spans["queued"]
    return bool(spans["sent"] >= sent and not spans["queued"])


def test_every_request_of_the_corpus_arrives_as_one_tree_and_the_account_says_so(
    serve: Serve, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    with receiving() as (receiver, endpoint):
        process = serve(otlp={"endpoint": endpoint})
        process.send(*haproxy_lines[:200])
        assert process.post(b"[" + b",".join(kong_bodies[:200]) + b"]") == 200
        status = process.wait_for(
            lambda now: now["sources"]["haproxy"]["stored"] + now["sources"]["kong"]["stored"] == 400
        )
        made = status["spans"]["received"]
        arrived = receiver.wait_for(made)
        status = process.wait_for(lambda now: _accounted(now, sent=made))
        assert status["spans"]["drop_reasons"] == {}
        assert sum(status["spans"]["decided"].values()) >= 200
        assert process.stop() == 0
    ids = {(span.trace_id, span.span_id) for _, span in arrived}
    edges = [span for name, span in arrived if name == "haproxy" and span.kind == Span.SPAN_KIND_SERVER]
    assert len(edges) == 200
    assert all(not span.parent_span_id for span in edges)
    below = [span for _, span in arrived if span.parent_span_id]
    assert len(below) == len(arrived) - 200
    assert sum((span.trace_id, span.parent_span_id) in ids for span in below) == len(below)


def test_a_replay_sends_spans_only_if_told_to_and_then_all(
    tmp_path: Path,
    command: Callable[..., Any],
    haproxy_lines: list[bytes],
    kong_bodies: list[bytes],
) -> None:
    haproxy, kong = tmp_path / "haproxy.log", tmp_path / "kong.jsonl"
    haproxy.write_bytes(b"\n".join(haproxy_lines) + b"\n")
    kong.write_bytes(b"\n".join(kong_bodies) + b"\n")
    with receiving() as (receiver, endpoint):
        config = tmp_path / "hoptrail.yaml"
        config.write_text(
            json.dumps({"otlp": {"endpoint": endpoint}, "sources": {"syslog": {"log_format": LOG_FORMAT}}}),
            encoding="utf-8",
        )

        def replay(name: str, *words: str) -> dict[str, Any]:
            done = command(
                "replay", "--haproxy", haproxy, "--kong", kong, "--config", config,
                "--data-dir", tmp_path / name, "-o", "json", *words,
            )  # fmt: skip
            return dict(json.loads(done.stdout))

        assert "spans" not in replay("without")
        assert receiver.arrived == []
        told = replay("with", "--spans")["spans"]
        assert (told["received"], told["dropped"], told["queued"]) == (told["sent"], 0, 0)
        assert len(receiver.wait_for(told["sent"])) == len(receiver.arrived) == told["sent"] > 4 * 1400
        assert replay("with", "--spans")["spans"]["sent"] == told["sent"]  # the same files again send nothing


def test_a_replay_waits_for_no_receiver_that_is_away_and_leaves_its_spans(
    tmp_path: Path, command: Callable[..., Any], haproxy_lines: list[bytes]
) -> None:
    haproxy = tmp_path / "haproxy.log"
    haproxy.write_bytes(b"\n".join(haproxy_lines[:200]) + b"\n")
    config = tmp_path / "hoptrail.yaml"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        config.write_text(
            json.dumps(
                {
                    "otlp": {"endpoint": f"http://127.0.0.1:{probe.getsockname()[1]}"},
                    "sources": {"syslog": {"log_format": LOG_FORMAT}},
                    "drain_s": 0.5,
                }
            ),
            encoding="utf-8",
        )
        done = command(
            "replay", "--haproxy", haproxy, "--config", config, "--data-dir", tmp_path / "data",
            "--spans", "-o", "json",
        )  # fmt: skip
    told = json.loads(done.stdout)["spans"]
    assert (told["sent"], told["dropped"]) == (0, 0)
    assert told["queued"] == told["received"] == 200
    left = json.loads(command("status", "--data-dir", tmp_path / "data", "-o", "json").stdout)
    assert left["spans"]["queued"] == 200


def test_spans_that_wait_when_the_process_is_killed_go_out_after_the_next_start(
    serve: Serve, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))  # bound and not listening: the receiver is away
        port = held.getsockname()[1]
        settings = {"endpoint": f"http://127.0.0.1:{port}"}
        process = serve(otlp=settings)
        process.send(*haproxy_lines[:50])
        assert process.post(b"[" + b",".join(kong_bodies[:50]) + b"]") == 200
        status = process.wait_for(
            lambda now: (
                now["sources"]["haproxy"]["stored"] + now["sources"]["kong"]["stored"] == 100
                and now["spans"]["retries"] > 0
            )
        )
        waiting = status["spans"]["queued"]
        assert waiting >= 150
        assert "refused" in status["spans"]["trouble"].lower()
        process.kill()
    with receiving(port) as (receiver, _):
        again = serve(process.data_dir, otlp=settings)
        assert len(receiver.wait_for(waiting)) == waiting
        status = again.wait_for(lambda now: _accounted(now, sent=waiting))
        assert status["spans"]["received"] == waiting
        assert again.stop() == 0
    reader = serve(process.data_dir)
    said = ledger_of_spans(reader.addresses["read_url"])
    said.pop("decided", None)  # counted by the process, and gone with it
    assert said == {"made": waiting, "sent": waiting, "queued": 0}
    assert reader.stop() == 0


def ledger_of_spans(read_url: str) -> dict[str, int]:
    """Ask the read door what the ledger says of spans over all time, by kind."""
    asked = "SELECT toString(kind), toInt64(sum(count)) FROM ledger WHERE source = 'spans' GROUP BY kind"
    answer = httpx.get(read_url, params={"query": f"{asked} FORMAT JSONCompact"}, trust_env=False, timeout=30)
    return {kind: int(count) for kind, count in answer.json()["data"]}


def test_a_stopped_process_tells_what_its_queue_holds(
    serve: Serve, command: Callable[..., Any], haproxy_lines: list[bytes]
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        process = serve(otlp={"endpoint": f"http://127.0.0.1:{held.getsockname()[1]}"}, window_s=0.2)
        process.send(*haproxy_lines[:5])
        process.wait_for(lambda now: now["spans"]["queued"] == 5)
        assert process.stop() == 0
    told = command("status", "--data-dir", process.data_dir).stdout
    assert "5 made, 0 sent, 5 waiting" in " ".join(told.split())


@pytest.fixture
def catalog() -> Iterator[Callable[[str], Any]]:
    """Give an application that OpenTelemetry instruments: it continues the trace of each request."""
    provider = TracerProvider(resource=Resource({"service.name": "catalog"}))

    def make(endpoint: str) -> Callable[[Exchange], Any]:
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
        tracer, propagator = provider.get_tracer("catalog"), TraceContextTextMapPropagator()

        async def answer(exchange: Exchange) -> Reply:
            context = propagator.extract({"traceparent": exchange.request.header("traceparent") or ""})

            def work() -> None:
                with tracer.start_as_current_span("list books", context, kind=trace.SpanKind.SERVER):
                    pass

            await asyncio.to_thread(work)
            return Reply(200, [("Content-Length", "2")], b"ok")

        return answer

    yield make
    provider.shutdown()


async def test_an_applications_span_hangs_below_the_edges(
    serve: Serve, catalog: Callable[[str], Any], tmp_path: Path
) -> None:
    """Three services: the edge and the gateway, known from their logs alone, and an application with the SDK."""
    with receiving() as (receiver, endpoint):
        process = await asyncio.to_thread(serve, tmp_path / "data", otlp={"endpoint": endpoint})
        config = resource("deploy/haproxy/haproxy.cfg")
        declared = load_declared(resource("deploy/kong/kong.yml"), _VARIABLES, int(time.time()))
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            places = await enter(open_upstreams())
            places["catalog.internal:8080"] = await enter(http_listener(catalog(endpoint)))
            log = await enter(
                open_log_queue(declared.http_log, process.addresses["ingest_url"] + "/ingest/kong")
            )
            gateway = Gateway(declared, places, log, chance=random.Random(3))
            ports, _ = await enter(gateway_listeners(gateway, 1))
            edge = stand_in_edge(
                load_rules(config), EdgeLines(config, "edge-1"), ports, process.addresses["syslog_udp"]
            )
            client = await HttpConnection.open("127.0.0.1", await enter(edge))
            answer = await client.exchange("GET", "/catalog/books", [("Host", "api.example.com")], b"")
            await client.close()
            assert answer.status == 200
            arrived = await asyncio.to_thread(receiver.wait_for, 5)
        assert await asyncio.to_thread(process.stop) == 0
    spans = {(name, span.kind): span for name, span in arrived}
    root, application = spans["haproxy", Span.SPAN_KIND_SERVER], spans["catalog", Span.SPAN_KIND_SERVER]
    assert application.name == "list books"
    assert application.parent_span_id == root.span_id
    assert not root.parent_span_id
    assert {span.trace_id for _, span in arrived} == {root.trace_id}
    assert spans["kong", Span.SPAN_KIND_SERVER].name == "GET catalog"
    assert root.start_time_unix_nano <= application.start_time_unix_nano + 2_000_000


_VARIABLES = {
    "DECK_MOBILE_APP_KEY": "mobile-key",
    "DECK_ACME_KEY": "acme-key",
    "DECK_BILLING_BATCH_SECRET": "signing-secret",
    "LINEAGE_LOG_SECRET": "log-secret",
}
