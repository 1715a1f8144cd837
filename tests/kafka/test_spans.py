"""Spans by way of a topic: real join processes, a real broker, receivers that are up, down and in between."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from pipeline.bus.kafka.span_standing import SpanStanding, read_span_standing
from pipeline.bus.kafka.topics import apply
from pipeline.config import load_config
from pipeline.model import Lineage
from pipeline.spans import Spans, SpanSettings
from pipeline.spans.ids import trace_id_for
from pipeline.store.conditions import Wanted
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.search import search

pytestmark = pytest.mark.jvm  # the account is the text beside the offset, which Tansu does not keep

OK = ExportTraceServiceResponse().SerializeToString()
MOODS = ("ok", "busy", "cut", "ok", "throttled", "deaf", "ok", "ok")
"""What a flapping receiver does."""


class Receiver:
    """Takes export requests, or does not, as its mood is."""

    def __init__(self) -> None:
        self.taken: list[list[Span]] = []
        """The spans of each request that was answered with success, in their order on the wire."""
        self.refused = 0
        self.flaps = False
        self.port = 0
        self._chance = random.Random(7)
        self._lock = threading.Lock()

    def mood(self) -> str:
        with self._lock:
            return self._chance.choice(MOODS) if self.flaps else "ok"

    def note(self, body: bytes, *, taken: bool) -> None:
        spans = [
            span
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            if taken:
                self.taken.append(spans)
            else:
                self.refused += 1

    def ids(self) -> set[bytes]:
        with self._lock:
            return {span.span_id for spans in self.taken for span in spans}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Listen for OTLP over HTTP; what is answered with success, or not at all after it was read, is taken."""
    about = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
            mood = about.mood()
            about.note(body, taken=mood in {"ok", "deaf"})
            if mood in {"cut", "deaf"}:  # `deaf` took it, and nobody hears so
                self.close_connection = True
                return
            status = {"ok": 200, "busy": 503, "throttled": 429}[mood]
            self.send_response(status)
            if status != 200:
                self.send_header("retry-after", "0")
            self.send_header("content-length", str(len(OK)))
            self.end_headers()
            self.wfile.write(OK)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        about.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield about
        server.shutdown()
        thread.join()


def unused_port() -> int:
    """Give a port that nothing listens on now: OtelTap cannot be told to choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def tapped(port: int) -> Iterator[list[bytes]]:
    """Listen with OtelTap, on a thread and loop of its own; gives the ids of the spans that came."""
    found: list[bytes] = []
    loop, stop, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def listen() -> None:
        settings = OtelTapHttpProtobufReceiverSettings(http_port=port)
        async with OtelTapHttpProtobufReceiver(settings) as tap:
            ready.set()
            hearing = asyncio.create_task(hear(tap))
            await stop.wait()
            hearing.cancel()

    async def hear(tap: OtelTapHttpProtobufReceiver) -> None:
        async for span in tap.stream_traces():
            found.append(span.span_id)  # noqa: PERF401 -- others read it meanwhile

    thread = threading.Thread(target=loop.run_until_complete, args=(listen(),))
    thread.start()
    assert ready.wait(30)
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
def span_world(world: Any) -> Callable[..., Any]:
    """Give a world that sends spans to a port, with the topic for them."""

    def make(port: int, **otlp: Any) -> Any:
        world.settings["otlp"] = {"endpoint": f"http://127.0.0.1:{port}"} | otlp
        kafka = world.settings["bus"]["kafka"]
        kafka["spans_topic"] = kafka["edge_topic"].replace("edge", "spans")
        bus = load_config(world.config(), environ={}).bus
        asyncio.run(apply(bus, spans=True))
        return world

    return make


def standing(world: Any) -> SpanStanding:
    found = asyncio.run(read_span_standing(load_config(world.config(), environ={}).bus))
    assert found is not None
    return found


def rows(world: Any) -> list[Lineage]:
    connection = connect(parse_dsn(world.store))
    try:
        return search(connection.client, Wanted())
    finally:
        connection.close()


class Expected(NamedTuple):
    """The spans of one request."""

    ids: list[bytes]
    """The root first."""
    is_split: bool
    """Whether the edge sent the request twice: the corpus may have its entries in two parts."""


def expected(world: Any) -> dict[str, Expected]:
    """Give the spans that the stored rows have, by trace."""
    spans = Spans(SpanSettings())
    return {
        trace_id_for(row): Expected([span.span_id for span in spans.of(row)], len(row.attempts) > 1)
        for row in rows(world)
    }


def check_requests(receiver: Receiver, wanted: dict[str, Expected]) -> None:
    """A request's spans are in one export request, the root first, and come again as they were.

    Of a request that is split one attempt may be late: its spans come by themselves, and the root is named anew.
    """
    copies: dict[bytes, set[bytes]] = {}
    for request in receiver.taken:
        by_trace: dict[str, list[Span]] = {}
        for span in request:
            by_trace.setdefault(span.trace_id.hex(), []).append(span)
        for trace, spans in by_trace.items():
            ids, (whole, is_split) = [span.span_id for span in spans], wanted[trace]
            if not is_split:
                assert set(ids) == set(whole)
                for span in spans:
                    copies.setdefault(span.span_id, set()).add(span.SerializeToString(deterministic=True))
            assert whole[0] not in ids or (ids[0] == whole[0] and not spans[0].parent_span_id)
    assert len(copies) > 5000
    assert all(len(different) == 1 for different in copies.values())


def ledger(world: Any) -> Counter[str]:
    """Give what the ledger says of spans, by kind."""
    connection = connect(parse_dsn(world.store))
    try:
        found = connection.client.query(
            "SELECT toString(kind), sum(count) FROM ledger WHERE source = 'spans' GROUP BY kind", {}
        ).result_rows
    finally:
        connection.close()
    return Counter({str(kind): int(count) for kind, count in found})


def test_through_a_kill_and_a_flapping_receiver_each_request_arrives_whole_and_root_first(
    span_world: Callable[..., Any], receiver: Receiver, corpus: Any
) -> None:
    """Two joins; one is killed while its spans are on their way. What comes twice is the same, bit for bit."""
    world = span_world(receiver.port)
    world.settings["join"]["window_s"] = 8  # the corpus has halves in neighbouring parts: none is to be late
    receiver.flaps = True
    ingest = world.start("ingest", ready=False)
    victim, _ = world.start("join", ready=False), world.start("join", ready=False)
    for process in world.processes:
        process.wait_ready()
    for at, (lines, body) in enumerate(corpus.parts(6)):
        ingest.send(*lines)
        assert ingest.post(body) == 200
        if at == 2:
            world.until(lambda: victim.status()["spans"]["sent"] > 0, "it has sent some")
            victim.kill()
            world.start("join", ready=False)
    world.check_whole()
    wanted = expected(world)
    ids = {span_id for one in wanted.values() for span_id in one.ids}
    world.until(lambda: ids <= receiver.ids(), "all spans have come")
    assert receiver.ids() == ids
    assert receiver.refused > 0
    check_requests(receiver, wanted)
    world.until(lambda: standing(world).lag == 0, "all is answered for")
    account = standing(world).account
    assert account.fates.keys() == {("sent", "")}
    assert account.received >= len(ids)
    assert standing(world).gone == 0


def test_what_came_while_the_receiver_was_down_goes_out_when_it_is_back_and_the_ledger_adds_up(
    span_world: Callable[..., Any], corpus: Any
) -> None:
    """OtelTap is up, down and up again; nobody is killed, so that everything is sent exactly once."""
    port = unused_port()
    world = span_world(port, compression="none")  # OtelTap knows no gzip
    ingest = world.start("ingest", ready=False)
    joins = [world.start("join", ready=False), world.start("join", ready=False)]
    for process in world.processes:
        process.wait_ready()
    world.until(lambda: all(len(join.partitions()) == 2 for join in joins), "both have a part")
    parts = corpus.parts(2)
    lines, body = next(parts)
    ingest.send(*lines)
    assert ingest.post(body) == 200
    world.until(lambda: sum(join.status()["spans"]["queued"] for join in joins) > 0, "spans wait")
    world.until(lambda: all(join.status()["spans"]["retries"] > 0 for join in joins), "both have tried")
    assert "refused" in joins[0].status()["spans"]["trouble"].lower()
    with tapped(port) as found:
        world.until(lambda: standing(world).lag == 0 and found, "the receiver has all")
        lines, body = next(parts)
        ingest.send(*lines)
        assert ingest.post(body) == 200
        world.check_whole()
        ids = {span_id for one in expected(world).values() for span_id in one.ids}
        world.until(lambda: len(set(found)) == len(ids), "all spans have come")
    assert set(found) == ids
    documents = [join.status()["spans"] for join in joins]
    for document in documents:
        assert document["received"] == document["sent"] + document["dropped"] + document["queued"]
        assert document["sent"] > 0
        assert document["dropped"] == document["lag_messages"] == document["messages_gone"] == 0
    assert sum(document["sent"] for document in documents) == len(found) == len(ids)
    assert standing(world).account.fates == {("sent", ""): len(ids)}
    page = joins[0].get("/metrics").text
    assert re.search(r'^hoptrail_kafka_lag_messages\{[^}]*source="spans"\} 0\.0$', page, re.MULTILINE)
    assert re.search(r'^hoptrail_kafka_lag_messages\{[^}]*source="kong"\} 0\.0$', page, re.MULTILINE)
    assert (
        f"runs as process {ingest.popen.pid}" in world.command("status", "--data-dir", ingest.data_dir).stdout
    )
    drawn = " ".join(world.command("status", "--data-dir", joins[0].data_dir).stdout.split())
    assert f"{documents[0]['received']:,} made, {documents[0]['sent']:,} sent, 0 waiting" in drawn
    assert "2 partitions are this process's, 0 messages to be read" in drawn
    shown = json.loads(world.command("kafka", "status", "--config", world.config(), "-o", "json").stdout)
    assert shown["spans"]["sent"] == shown["spans"]["received"] == len(ids)
    assert all(process.stop() == 0 for process in world.processes)
    said = ledger(world)
    assert said["made"] == said["sent"] + said["dropped"] + said["queued"] == len(ids)
    assert said["queued"] == said["dropped"] == 0
    assert said["decided"] >= 1500


def test_a_join_that_is_to_send_spans_and_has_no_topic_for_them_says_what_to_do(world: Any) -> None:
    config = world.config(
        "without", otlp__endpoint="http://127.0.0.1:4318", bus__kafka__spans_topic="not.made"
    )
    refused = world.command("join", "--config", config, check=False)
    assert refused.returncode == 2
    assert "there is no topic not.made: run `hoptrail kafka topics apply`" in refused.stderr
    planned = world.command("kafka", "topics", "plan", "--config", config, check=False)
    assert planned.returncode == 1
    assert "not.made: to be made" in planned.stdout
    assert "retention.ms=86400000" in planned.stdout
    without = world.command("kafka", "topics", "plan", "--config", world.config(), check=False)
    assert "spans" not in without.stdout


@pytest.mark.soak
def test_a_storm_of_kills_and_moods_leaves_no_request_without_its_spans(
    span_world: Callable[..., Any], receiver: Receiver, corpus: Any
) -> None:
    world = span_world(receiver.port)
    receiver.flaps = True
    ingest = world.start("ingest")
    joins: list[Any] = []
    for at, (lines, body) in enumerate(corpus.parts(30)):
        ingest.send(*lines)
        assert ingest.post(body) == 200
        joins.append(world.start("join", ready=False))
        if len(joins) > 2:
            victim = joins.pop(0)
            if at % 3:
                victim.kill()
            else:
                victim.stop()
    world.check_whole()
    wanted = expected(world)
    ids = {span_id for one in wanted.values() for span_id in one.ids}
    world.until(lambda: ids <= receiver.ids(), "all spans have come")
    assert receiver.ids() == ids
    world.until(lambda: standing(world).lag == 0, "all is answered for")
    account = standing(world).account
    assert account.fates.keys() == {("sent", "")}
    assert len(ids) <= account.received <= sum(map(len, receiver.taken))
