"""PURE: every attribute that our spans carry: its name by the semantic conventions 1.44, or our own.

`http.*`, `url.*`, `server.*`, `client.*`, `network.*`, `user_agent.*`, `tls.*` and `error.type` are theirs;
`kong.request.id` is what Kong's own spans call it; `haproxy.*`, `kong.*` and `lineage.*` are ours.
"""

from __future__ import annotations

from pipeline.spans.names import OTHER_METHOD, known_method, split_host
from pipeline.spans.wire import IntKey, TextKey

METHOD = TextKey("http.request.method")
METHOD_ORIGINAL = TextKey("http.request.method_original")
STATUS = IntKey("http.response.status_code")
RESEND = IntKey("http.request.resend_count")
REQUEST_SIZE = IntKey("http.request.size")
RESPONSE_SIZE = IntKey("http.response.size")
ERROR_TYPE = TextKey("error.type")
URL_SCHEME = TextKey("url.scheme")
URL_PATH = TextKey("url.path")
URL_QUERY = TextKey("url.query")
URL_FULL = TextKey("url.full")
SERVER_ADDRESS = TextKey("server.address")
SERVER_PORT = IntKey("server.port")
CLIENT_ADDRESS = TextKey("client.address")
CLIENT_PORT = IntKey("client.port")
PEER_ADDRESS = TextKey("network.peer.address")
PEER_PORT = IntKey("network.peer.port")
PROTOCOL_VERSION = TextKey("network.protocol.version")
USER_AGENT = TextKey("user_agent.original")
TLS_NAME = TextKey("tls.protocol.name")
TLS_VERSION = TextKey("tls.protocol.version")
TLS_CIPHER = TextKey("tls.cipher")
PSEUDONYM = TextKey("enduser.pseudo.id")
USER_ID = TextKey("user.id")
USER_NAME = TextKey("user.name")

UNIQUE_ID = TextKey("haproxy.unique_id")
TERMINATION = TextKey("haproxy.termination_state")
FRONTEND = TextKey("haproxy.frontend")
BACKEND = TextKey("haproxy.backend")
SERVER = TextKey("haproxy.server")
RETRIES = IntKey("haproxy.retries")
TIMERS = tuple(IntKey(f"haproxy.timing.{name}") for name in ("TR", "Tw", "Tc", "Tr", "Td", "Ta"))

KONG_REQUEST_ID = TextKey("kong.request.id")
KONG_SERVICE = TextKey("kong.service.name")
KONG_SERVICE_ID = TextKey("kong.service.id")
KONG_ROUTE = TextKey("kong.route.name")
KONG_ROUTE_ID = TextKey("kong.route.id")
KONG_WORKSPACE = TextKey("kong.workspace")
KONG_SOURCE = TextKey("kong.response.source")
TRY_STATE = TextKey("kong.try.state")

MATCH = TextKey("lineage.match")
MISSING = TextKey("lineage.missing")
VERDICT = TextKey("lineage.verdict")


def maybe(key: TextKey, value: str | None) -> bytes:
    """Write an attribute, or nothing where its value is not known."""
    return key(value) if value else b""


def maybe_int(key: IntKey, value: int | None) -> bytes:
    """Write an attribute, or nothing where its value is not known."""
    return key(value) if value is not None else b""


def method(name: str | None) -> bytes:
    """Write a method; one that is not known stands beside `_OTHER`."""
    known = known_method(name)
    original = METHOD_ORIGINAL(name) if name and known == OTHER_METHOD else b""
    return maybe(METHOD, known) + original


def asked(name: str | None, scheme: str | None, host: str | None) -> bytes:
    """Write what a server was asked: method, scheme, and by which name it was called."""
    address, port = split_host(host, scheme)
    return b"".join(
        (
            method(name),
            maybe(URL_SCHEME, scheme),
            maybe(SERVER_ADDRESS, address),
            maybe_int(SERVER_PORT, port),
        )
    )


def tls(version: str | None, cipher: str | None) -> bytes:
    """Write what protected a connection; `TLSv1.3` is name and version."""
    if not version:
        return b""
    name, _, number = version.partition("v")
    return maybe(TLS_NAME, name.lower()) + maybe(TLS_VERSION, number) + maybe(TLS_CIPHER, cipher)
