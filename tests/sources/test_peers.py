"""Only those named may send, and deciding does not grow."""

from __future__ import annotations

import socket

import pytest

from pipeline.sources.peers import AllowList


@pytest.mark.parametrize(
    ("networks", "address", "peer"),
    [
        ((), "127.0.0.1", "127.0.0.1"),
        ((), "127.9.9.9", "127.9.9.9"),
        ((), "::1", "::1"),
        ((), "::ffff:127.0.0.1", "127.0.0.1"),
        ((), "10.0.0.1", None),
        ((), "fe80::1%eth0", None),
        (("10.0.0.0/8",), "10.1.2.3", "10.1.2.3"),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", "10.1.2.3"),
        (("10.0.0.0/8",), "127.0.0.1", None),
        (("10.1.2.3/8",), "10.9.9.9", "10.9.9.9"),
        (("fe80::/10",), "fe80::1%eth0", "fe80::1"),
        (("2001:db8::/32", "192.0.2.1"), "2001:db8::5", "2001:db8::5"),
        (("2001:db8::/32", "192.0.2.1"), "192.0.2.2", None),
        ((), "not an address", None),
    ],
)
def test_who_may_send(networks: tuple[str, ...], address: str, peer: str | None) -> None:
    peers = AllowList(networks)
    assert peers.admit(address) == peer
    assert peers.admit(address) == peer


def test_packed_addresses_are_read_in_network_order() -> None:
    peers = AllowList(("192.0.2.0/24", "2001:db8::/32"))
    assert peers.admit(socket.inet_aton("192.0.2.1")) == "192.0.2.1"
    assert peers.admit(socket.inet_aton("1.2.0.192")) is None
    assert peers.admit(socket.inet_pton(socket.AF_INET6, "2001:db8::1")) == "2001:db8::1"


def test_forged_addresses_do_not_grow_the_memory() -> None:
    peers = AllowList(())
    for number in range(10_000):
        assert peers.admit(number.to_bytes(4, "big")) is None
    assert len(peers._decided) <= 4096
    assert peers.admit("127.0.0.1") == "127.0.0.1"
