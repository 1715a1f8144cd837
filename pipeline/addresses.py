"""Addresses as the operator writes them: `host:port`, `[v6]:port`."""

from __future__ import annotations

import ipaddress


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`.

    Raises:
        ValueError: It is neither.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004 -- ports are 16 bits
        raise ValueError(f"{address!r} is not host:port")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name other than `localhost` cannot say."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
