"""Receivers that others wrote get our spans: OtelTap over HTTP, Rotel over gRPC and HTTP, which passes them on."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from oteltap import OtelTapHttpProtobufReceiver

from pipeline.config import OtlpConfig
from pipeline.join.resolve import resolve
from pipeline.model import EdgeRecord, GatewayRecord, Timers, Try
from pipeline.sinks.otlp.connect import make_transport
from pipeline.sinks.otlp.exporter import Exporter
from pipeline.sinks.otlp.queue import SpanQueue
from pipeline.spans import Frame, Framer, Spans, SpanSettings
from pipeline.spans.waiting import SENT

TRACE = "0af7651916cd43dd8448eb211c80319c"
Make = Callable[..., Any]


@pytest.fixture
def rotel(receiver: Any, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[dict[str, int]]:
    """Run Rotel, which passes on what it gets to a receiver of ours; gives its ports."""
    spec = importlib.util.find_spec("rotel")
    assert spec is not None
    assert spec.origin is not None
    ports = {"grpc": free_port(), "http": free_port()}
    command = [
        Path(spec.origin).with_name("rotel-agent"),
        "start",
        f"--otlp-grpc-endpoint=127.0.0.1:{ports['grpc']}",
        f"--otlp-http-endpoint=127.0.0.1:{ports['http']}",
        "--exporter=otlp",
        "--otlp-exporter-protocol=http",
        f"--otlp-exporter-endpoint={receiver.endpoint}",
        f"--pid-file={tmp_path / 'rotel.pid'}",
        f"--log-file={tmp_path / 'rotel.log'}",
    ]
    with (
        (tmp_path / "rotel.out").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        for port in ports.values():
            wait_for_port(port, process)
        yield ports
        process.terminate()


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)  # between two tries, not instead of one
        else:
            return
    raise AssertionError(f"nothing listens on {port}")


def retry_trace() -> tuple[Frame, list[str]]:
    """Give the spans of a request that the edge sent twice, and their ids."""
    start_us = 1_795_460_243_518_000
    edge = EdgeRecord(
        rec_id=7,
        offset=1,
        request_id="47c60cd1-3b7a-4e1c-8f2d-0a1b2c3d4e5f",
        start_us=start_us,
        gateway_request_id="2" * 32,
        traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
        node="edge-1",
        timers=Timers(TR=1, Tw=0, Tc=30, Tr=20, Td=1, Ta=52),
        status=200,
        termination="----",
        retries=1,
        method="GET",
        path="/orders",
    )
    attempts = [
        GatewayRecord(
            attempt_id=number,
            offset=1 + number,
            request_ids=(edge.request_id,),
            started_us=start_us + 25_000 * number,
            gateway_request_id=str(number) * 32,
            node="10.0.0.5",
            request_ms=20.0,
            status=status,
            method="GET",
            path="/orders",
            service="orders",
            route="orders",
            tries=(Try("10.1.0.9", 9000, None, None, start_us + 25_000 * number, 1.0),),
        )
        for number, status in ((1, 503), (2, 200))
    ]
    (row,) = resolve([edge], attempts)
    built = Spans(SpanSettings()).of(row)
    framer = Framer()
    framer.add(built)
    (made,) = framer.take()
    return made, [span.span_id.hex() for span in built]


async def received(tap: OtelTapHttpProtobufReceiver, count: int) -> list[Span]:
    found: list[Span] = []

    def take(span: Span) -> bool:
        found.append(span)
        return len(found) == count

    await tap.await_trace(take, timeout=20)
    return found


def check(found: list[Span], ids: list[str]) -> None:
    """Check what arrived against what was sent: one trace, every span, hanging together."""
    by_id = {span.span_id.hex(): span for span in found}
    assert sorted(by_id) == sorted(ids)
    assert {span.trace_id.hex() for span in found} == {TRACE}
    assert by_id["b7ad6b7169203331"].name == "GET orders"
    assert all(not span.parent_span_id or span.parent_span_id.hex() in by_id for span in found)
    first = by_id[ids[1]]
    assert first.status.code == 2
    assert {a.key: a.value.int_value for a in first.attributes}["http.response.status_code"] == 503
    second = by_id[ids[4]]
    assert {a.key: a.value.int_value for a in second.attributes}["http.request.resend_count"] == 1
    assert (first.end_time_unix_nano, second.start_time_unix_nano) == (
        1_795_460_243_563_000_000,
        1_795_460_243_568_000_000,
    )


async def test_oteltap_gets_a_retry_over_http(
    tap: tuple[OtelTapHttpProtobufReceiver, int], queue: SpanQueue, until_settled: Make
) -> None:
    made, ids = retry_trace()
    config = OtlpConfig(endpoint=f"http://127.0.0.1:{tap[1]}", compression="none")  # it knows no gzip
    exporter = Exporter(queue, make_transport(config))
    exporter.start()
    queue.put([made])
    check(await received(tap[0], made.spans), ids)
    assert until_settled(queue).fates == {(SENT, ""): made.spans}
    exporter.stop(5)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_rotel_gets_a_retry_compressed_and_passes_it_on_whole(
    receiver: Any, rotel: dict[str, int], queue: SpanQueue, until_settled: Make, protocol: str
) -> None:
    made, ids = retry_trace()
    config = OtlpConfig(endpoint=f"http://127.0.0.1:{rotel[protocol]}", protocol=protocol)
    exporter = Exporter(queue, make_transport(config))
    exporter.start()
    queue.put([made])
    receiver.wait(lambda: len(receiver.span_names()) == made.spans)
    check([s for r in receiver.taken for g in r.resource_spans for s in g.scope_spans[0].spans], ids)
    assert until_settled(queue).fates == {(SENT, ""): made.spans}
    exporter.stop(5)
