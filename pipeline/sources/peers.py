"""Who may send: the networks that the operator allows, or this machine alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

_LOOPBACK = ("127.0.0.0/8", "::1/128")
_REMEMBERED = 4096
"""Addresses whose decision is kept; forged ones beyond that cost a look each, not memory."""


class AllowList:
    """Decides whether an address may send, and remembers what it decided.

    Not to be shared between threads.

    Args:
        networks: `10.0.0.0/8`, `2001:db8::/32`, single addresses; empty: loopback alone.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(text, strict=False) for text in networks or _LOOPBACK]
        self._decided: dict[bytes | str, str | None] = {}

    def admit(self, address: bytes | str) -> str | None:
        """Give an allowed address as text; None for one that may not send.

        Args:
            address: 4 or 16 bytes in network order, or text as `getpeername` gives it. An IPv4 address inside
                an IPv6 one (`::ffff:10.0.0.1`, as a socket of both families sees it) is the IPv4 address.
        """
        try:
            return self._decided[address]
        except KeyError:
            decision = self._decide(address)
        if len(self._decided) >= _REMEMBERED:
            self._decided.clear()
        self._decided[address] = decision
        return decision

    def _decide(self, address: bytes | str) -> str | None:
        try:
            peer = ipaddress.ip_address(address.partition("%")[0] if isinstance(address, str) else address)
        except ValueError:
            return None
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return str(peer) if any(peer in network for network in self._networks) else None
