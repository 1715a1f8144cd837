"""A receiver that takes, is away, slow, refuses or flaps: every span is accounted for, and those it took arrived."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from pipeline.config import OtlpConfig
from pipeline.sinks.otlp.answers import Answer
from pipeline.sinks.otlp.connect import make_transport
from pipeline.sinks.otlp.exporter import Exporter
from pipeline.sinks.otlp.queue import SpanQueue
from pipeline.spans import Frame
from pipeline.spans.waiting import DROPPED, SENT, SpanAccount

Make = Callable[..., Any]


@contextmanager
def exporting(queue: SpanQueue, endpoint: str, **config: Any) -> Iterator[Exporter]:
    transport = make_transport(OtlpConfig(endpoint=endpoint, **config))
    exporter = Exporter(queue, transport, first_retry_s=0.01, longest_retry_s=0.05)
    exporter.start()
    yield exporter
    exporter.stop(5.0)
    assert not exporter._thread.is_alive()


@pytest.fixture(params=["http", "grpc"])
def either(request: pytest.FixtureRequest) -> Any:
    """Give a receiver of each protocol."""
    name = "receiver" if request.param == "http" else "grpc_receiver"
    found = request.getfixturevalue(name)
    found.protocol = request.param
    return found


def test_what_is_put_in_arrives_in_order(
    either: Any, queue: SpanQueue, make_frame: Make, until_settled: Make
) -> None:
    with exporting(queue, either.endpoint, protocol=either.protocol):
        for name in ("first", "second", "third"):
            queue.put([make_frame(name)])
        account = until_settled(queue)
    assert account.fates == {(SENT, ""): 6}
    assert either.span_names() == ["first"] * 2 + ["second"] * 2 + ["third"] * 2


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_headers_and_compression_are_as_configured(
    receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make, compression: str
) -> None:
    with exporting(queue, receiver.endpoint, headers={"x-tenant": "acme"}, compression=compression):
        queue.put([make_frame("one")])
        until_settled(queue)
    (headers,) = receiver.seen
    assert headers["x-tenant"] == "acme"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers.get("content-encoding", "none") == compression
    assert receiver.paths == ["/v1/traces"]


def test_metadata_goes_with_a_call(
    grpc_receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make
) -> None:
    with exporting(queue, grpc_receiver.endpoint, protocol="grpc", headers={"X-Tenant": "acme"}):
        queue.put([make_frame("one")])
        until_settled(queue)
    assert grpc_receiver.seen[0]["x-tenant"] == "acme"


def test_what_the_receiver_rejected_is_counted_and_not_sent_again(
    either: Any, queue: SpanQueue, make_frame: Make, until_settled: Make, make_partial: Make, make_say: Make
) -> None:
    said = make_partial(3, "too old")
    either.answers = [make_say(body=said) if either.protocol == "http" else said]
    with exporting(queue, either.endpoint, protocol=either.protocol) as exporter:
        queue.put([make_frame("some", 5)])
        account = until_settled(queue)
    assert account.fates == {(SENT, ""): 2, (DROPPED, "rejected"): 3}
    assert exporter.progress.trouble == "too old"
    assert len(either.seen) == 1


def test_a_pause_that_is_asked_for_is_kept(
    receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make, make_say: Make
) -> None:
    receiver.answers = [make_say(429, b"slow down", Retry_After="1"), make_say()]
    began = time.monotonic()
    with exporting(queue, receiver.endpoint):
        queue.put([make_frame("patient")])
        account = until_settled(queue)
    assert time.monotonic() - began >= 1.0
    assert account.fates == {(SENT, ""): 2}
    assert receiver.span_names() == ["patient"] * 2


def test_a_throttled_call_is_repeated_when_it_says_so_and_dropped_when_it_does_not(
    grpc_receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make, make_refusal: Make
) -> None:
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    grpc_receiver.answers = [
        make_refusal(exhausted, "later", 0.2),
        b"",
        make_refusal(exhausted, "larger than max"),
        b"",
    ]
    with exporting(queue, grpc_receiver.endpoint, protocol="grpc"):
        queue.put([make_frame("throttled")])
        until_settled(queue)
        queue.put([make_frame("huge", 7)])
        account = until_settled(queue)
    assert account.fates == {(SENT, ""): 2, (DROPPED, "too_large"): 7}
    assert grpc_receiver.span_names() == ["throttled"] * 2


@pytest.mark.parametrize(
    ("status", "reason"), [(400, "bad_request"), (401, "unauthorized"), (413, "too_large"), (500, "refused")]
)
def test_a_frame_that_is_refused_does_not_hold_up_the_next(
    receiver: Any,
    queue: SpanQueue,
    make_frame: Make,
    until_settled: Make,
    make_say: Make,
    status: int,
    reason: str,
) -> None:
    receiver.answers = [make_say(status, b"no"), make_say()]
    with exporting(queue, receiver.endpoint):
        queue.put([make_frame("bad", 4), make_frame("good")])
        account = until_settled(queue)
    assert account.fates == {(DROPPED, reason): 4, (SENT, ""): 2}
    assert receiver.span_names() == ["good"] * 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "bad_request"),
        (grpc.StatusCode.PERMISSION_DENIED, "unauthorized"),
        (grpc.StatusCode.UNIMPLEMENTED, "refused"),
    ],
)
def test_a_call_that_is_refused_does_not_hold_up_the_next(
    grpc_receiver: Any,
    queue: SpanQueue,
    make_frame: Make,
    until_settled: Make,
    make_refusal: Make,
    code: grpc.StatusCode,
    reason: str,
) -> None:
    grpc_receiver.answers = [make_refusal(code, "no"), b""]
    with exporting(queue, grpc_receiver.endpoint, protocol="grpc"):
        queue.put([make_frame("bad", 4), make_frame("good")])
        account = until_settled(queue)
    assert account.fates == {(DROPPED, reason): 4, (SENT, ""): 2}


def test_a_receiver_that_is_away_is_waited_for(
    queue: SpanQueue, make_frame: Make, until_settled: Make, receiver: Any
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with exporting(queue, endpoint) as exporter:
            queue.put([make_frame("waiting")])
            deadline = time.monotonic() + 30
            while exporter.progress.retries < 3:
                assert time.monotonic() < deadline
                time.sleep(0.01)  # between two looks, not instead of one
            assert queue.account().queued == 2
            assert "refused" in exporter.progress.trouble
    with exporting(queue, receiver.endpoint):
        until_settled(queue)
    assert receiver.span_names() == ["waiting"] * 2


def test_a_call_to_a_receiver_that_is_away_is_repeated(queue: SpanQueue, make_frame: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with exporting(queue, endpoint, protocol="grpc", timeout_s=5) as exporter:
            queue.put([make_frame("waiting")])
            deadline = time.monotonic() + 30
            while exporter.progress.retries < 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)  # between two looks, not instead of one
    assert queue.account() == ({}, 2, len(make_frame("waiting").body))


def test_a_receiver_that_does_not_answer_is_given_up_and_asked_again(
    receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make, make_say: Make
) -> None:
    receiver.answers = ["hang", make_say()]
    with exporting(queue, receiver.endpoint, timeout_s=0.3):
        queue.put([make_frame("slow")])
        account = until_settled(queue)
    assert account.fates == {(SENT, ""): 2}
    assert len(receiver.seen) == 2


def test_stopping_does_not_wait_for_a_receiver_that_does_not_answer(
    receiver: Any, queue: SpanQueue, make_frame: Make
) -> None:
    receiver.answers = ["hang"]
    exporter = Exporter(queue, make_transport(OtlpConfig(endpoint=receiver.endpoint, timeout_s=300)))
    exporter.start()
    queue.put([make_frame("stuck")])
    receiver.wait(lambda: len(receiver.seen) == 1)
    exporter.stop(0.2)
    exporter._thread.join(10)
    assert not exporter._thread.is_alive()
    assert queue.account().queued == 2


def test_a_flapping_receiver_loses_and_doubles_nothing_that_it_took(
    receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make, make_say: Make
) -> None:
    spells = [
        make_say(503, b"", Retry_After="0"),
        "cut",
        make_say(),
        make_say(502),
        make_say(400),
        make_say(),
    ]
    receiver.answers = spells * 8
    with exporting(queue, receiver.endpoint) as exporter:
        for number in range(24):
            queue.put([make_frame(f"span-{number:02}", 3)])
        account: SpanAccount = until_settled(queue)
    names = receiver.span_names()
    assert account.received == 72
    assert account.fates[SENT, ""] == len(names)
    assert account.fates[DROPPED, "bad_request"] == 72 - len(names) > 0
    assert sorted(set(names)) == sorted(names[::3])
    assert exporter.progress.retries >= 16


def test_what_is_left_at_the_end_is_sent_if_the_receiver_takes_it(
    receiver: Any, queue: SpanQueue, make_frame: Make
) -> None:
    exporter = Exporter(queue, make_transport(OtlpConfig(endpoint=receiver.endpoint)))
    queue.put([make_frame(str(number)) for number in range(20)])
    exporter.start()
    exporter.stop(30.0)
    assert queue.account().fates == {(SENT, ""): 40}


def test_a_disk_that_fails_repeats_spans_and_the_thread_lives_on(
    receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make
) -> None:
    queue.put([make_frame("again")])
    queue._database.execute("PRAGMA query_only = ON")
    with exporting(queue, receiver.endpoint):
        receiver.wait(lambda: len(receiver.seen) >= 2)
        with queue._changed:
            queue._database.execute("PRAGMA query_only = OFF")
        account = until_settled(queue)
    assert account.fates == {(SENT, ""): 2}
    assert set(receiver.span_names()) == {"again"}


def test_an_answer_of_a_size_that_no_receiver_needs_is_not_read(
    receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make, make_say: Make
) -> None:
    receiver.answers = [make_say(body=b"x" * 2**20), make_say()]
    with exporting(queue, receiver.endpoint):
        queue.put([make_frame("one"), make_frame("two")])
        account = until_settled(queue)
    assert account.fates == {(SENT, ""): 4}


def test_frames_are_what_is_sent(queue: SpanQueue) -> None:
    queue.put([Frame(b"as it is", 1)])
    stored = queue.first(0)
    assert stored is not None
    assert stored.frame.body == b"as it is"


class Stumbling:
    """A way to a receiver that fails in a way that nobody foresaw, once."""

    def __init__(self, endpoint: str) -> None:
        self._inner = make_transport(OtlpConfig(endpoint=endpoint))
        self.stumbled = 0

    def send(self, body: bytes) -> Answer:
        if not self.stumbled:
            self.stumbled += 1
            raise ZeroDivisionError
        return self._inner.send(body)

    def interrupt(self) -> None:
        self._inner.interrupt()

    def close(self) -> None:
        self._inner.close()


def test_a_fault_of_ours_ends_no_sending(
    receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make
) -> None:
    exporter = Exporter(queue, Stumbling(receiver.endpoint), first_retry_s=0.01)
    exporter.start()
    queue.put([make_frame("one")])
    assert until_settled(queue).fates == {(SENT, ""): 2}
    assert exporter.progress.trouble == ""
    exporter.stop(5.0)


def test_a_queue_that_cannot_be_read_is_tried_again_soon_and_said(
    receiver: Any, queue: SpanQueue, make_frame: Make, until_settled: Make
) -> None:
    queue.put([make_frame("one")])
    queue._database.execute("ALTER TABLE frames RENAME TO elsewhere")
    with exporting(queue, receiver.endpoint) as exporter:
        deadline = time.monotonic() + 30
        while "does not answer" not in exporter.progress.trouble:
            assert time.monotonic() < deadline
        with queue._changed:
            queue._database.execute("ALTER TABLE elsewhere RENAME TO frames")
        assert until_settled(queue).fates == {(SENT, ""): 2}
    assert receiver.span_names() == ["one", "one"]
