"""Many datagrams come in one call, whole, in order, with their senders and the kernel's count of drops."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pipeline.sources.recvmmsg import SO_RXQ_OVFL, DatagramBatch, dropped_in_all

HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(request.param, socket.SOCK_DGRAM) as receiver,
        socket.socket(request.param, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind((HOSTS[request.param], 0))
        sender.connect(receiver.getsockname())
        yield receiver, sender


def test_datagrams_come_whole_and_in_order(pair: tuple[socket.socket, socket.socket]) -> None:
    receiver, sender = pair
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
    sent = [b"<134>first", b"", b"\xff\x00" * 32_000, b"last\n"]
    for body in sent:
        sender.send(body)
    received = DatagramBatch(receiver).receive(socket.MSG_DONTWAIT)
    assert received is not None
    assert received.bodies == sent
    packed = socket.inet_pton(receiver.family, HOSTS[receiver.family])
    assert received.addresses == [packed] * len(sent)


def test_memory_is_used_again_without_mixing(pair: tuple[socket.socket, socket.socket]) -> None:
    receiver, sender = pair
    batch = DatagramBatch(receiver, most=4)
    for round_ in range(5):
        sent = [b"%d/%d" % (round_, index) * (5 - round_) for index in range(4)]
        for body in sent:
            sender.send(body)
        received = batch.receive(socket.MSG_DONTWAIT)
        assert received is not None
        assert received.bodies == sent


def test_no_more_than_asked_for_come_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    receiver, sender = pair
    for index in range(5):
        sender.send(b"%d" % index)
    batch = DatagramBatch(receiver, most=3)
    first, second = batch.receive(socket.MSG_DONTWAIT), batch.receive(socket.MSG_DONTWAIT)
    assert first is not None
    assert second is not None
    assert (first.bodies, second.bodies) == ([b"0", b"1", b"2"], [b"3", b"4"])


def test_nothing_there_is_none(pair: tuple[socket.socket, socket.socket]) -> None:
    receiver, _ = pair
    assert DatagramBatch(receiver).receive(socket.MSG_DONTWAIT) is None


def test_a_broken_socket_is_an_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        batch = DatagramBatch(receiver)
    with pytest.raises(OSError, match="Bad file descriptor"):
        batch.receive(socket.MSG_DONTWAIT)


def test_both_counters_of_the_kernel_tell_the_same_drops(pair: tuple[socket.socket, socket.socket]) -> None:
    receiver, sender = pair
    receiver.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(500):
        sender.send(b"x" * 500)
    batch = DatagramBatch(receiver)
    kept = batch.receive(socket.MSG_DONTWAIT)
    assert kept is not None
    assert dropped_in_all(receiver) == 500 - len(kept.bodies) > 0
    sender.send(b"one more, which carries the count")
    told = batch.receive(socket.MSG_DONTWAIT)
    assert told is not None
    assert told.drops == 500 - len(kept.bodies)
