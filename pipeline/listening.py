"""Sockets that listen: bound here, so that a taken port is one clear line wherever it happens."""

from __future__ import annotations

import errno
import socket

from pipeline.addresses import split_address
from pipeline.errors import ConfigError

_FIXES = {
    errno.EADDRINUSE: "it is taken: stop what listens there, or choose another",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one",
}


def bound_socket(address: str, kind: socket.SocketKind, setting: str) -> socket.socket:
    """Bind a socket of either family, not yet listening.

    Args:
        address: `host:port` or `[v6]:port`; port 0 asks the kernel for a free one. A name is resolved, and an
            IPv4 address of it taken where it has one.
        kind: `SOCK_STREAM` or `SOCK_DGRAM`.
        setting: Key of the configuration that the address came from, for the message.

    Raises:
        ConfigError: The address cannot be bound; names it, the setting and the fix.
    """
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"{setting}: cannot resolve {address}: {error.strerror}") from error
    family, _, protocol, _, target = min(found, key=lambda candidate: candidate[0] != socket.AF_INET)
    # asyncio sets TCP_NODELAY only on a socket that says it speaks TCP; without it an answer waits 40 ms.
    bound = socket.socket(family, kind, protocol)
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        bound.bind(target)
    except OSError as error:
        bound.close()
        fix = _FIXES.get(error.errno or 0, error.strerror)
        raise ConfigError(f"{setting}: cannot listen on {address}: {fix}") from error
    return bound


def address_of(bound: socket.socket) -> str:
    """Write where a socket is bound, as the operator would: `127.0.0.1:5514`, `[::1]:5514`."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if bound.family == socket.AF_INET6 else f"{host}:{port}"
