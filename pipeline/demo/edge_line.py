"""HAProxy's log line, written from the very `log-format` of `deploy/haproxy/haproxy.cfg`.

PURE but for reading that file once: the stand-in edge and the history write what HAProxy would write with
the configuration that is handed out, byte for byte; a test lets the real one write beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.errors import ConfigError

_SETENV = re.compile(r"^\s*setenv\s+(\w+)\s+(.+?)\s*$", re.MULTILINE)
_LOG_FORMAT = re.compile(r"^\s*log-format\s+(.+?)\s*$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_ITEM = re.compile(r"%(\[[^\]]*\]|[A-Za-z]+)")
_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "/": "\\/",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_CONTROL, _DELETE, _LAST_OF_BMP = 0x20, 0x7F, 0xFFFF
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FACILITY_AND_SEVERITY = 134
"""local0, info."""


@dataclass(slots=True, kw_only=True)
class EdgeFacts:
    """What one line tells. None is what HAProxy writes as `-`; times are UTC epoch microseconds."""

    request_id: str
    traceparent: str
    pid: int
    request_counter: int
    log_counter: int
    node: str
    accepted_us: int
    headers_us: int
    """When the headers were whole and the rules ran: `req_us`."""
    end_us: int
    Th: int = 0
    Ti: int = 0
    TR: int = 0
    Tw: int = -1
    Tc: int = -1
    Tr: int = -1
    Td: int = -1
    Ta: int = 0
    client_ip: str = "127.0.0.1"
    client_port: int = 0
    bind_ip: str = "127.0.0.1"
    bind_port: int = 8080
    frontend: str = "edge"
    backend: str = "edge"
    server: str = "<NOSRV>"
    server_ip: str | None = None
    server_port: int | None = None
    source_ip: str | None = None
    source_port: int | None = None
    pool: str | None = None
    roll: int | None = None
    method: str = "GET"
    host: str | None = None
    path: str | None = None
    query: str | None = None
    http_major: int = 1
    user_agent: str | None = None
    bytes_read: int = 0
    claimed_request_id: str | None = None
    claimed_traceparent: str | None = None
    tls_version: str | None = None
    tls_cipher: str | None = None
    tls_sni: str | None = None
    tls_alpn: str | None = None
    client_cert_used: int | None = None
    client_cert_verify: int | None = None
    client_cert_dn: str | None = None
    status: int = 200
    bytes_sent: int = 0
    termination: str = "----"
    retries: int = 0
    redispatched: bool = False
    server_queue: int = 0
    backend_queue: int = 0
    connections: tuple[int, int, int, int] = (1, 1, 0, 0)
    """Active, on the frontend, on the backend, on the server."""
    frontend_error: int = 0
    gateway_request_id: str | None = None
    gateway_proxy_ms: int | None = None
    gateway_upstream_ms: int | None = None


class EdgeLines:
    """Writes lines as one HAProxy does.

    Args:
        config: `haproxy.cfg`.
        node: Its `EDGE_NODE`.

    Raises:
        ConfigError: The file has no `log-format`, or one with items unknown here.
    """

    def __init__(self, config: Path, node: str) -> None:
        self.node = node
        source = config.read_text(encoding="utf-8")
        variables = {"EDGE_NODE": node}
        for name, value in _SETENV.findall(source):
            variables[name] = _unquoted(value, variables)
        found = _LOG_FORMAT.search(source)
        if found is None:
            raise ConfigError(f"{config} has no log-format")
        self._format = _unquoted(found[1], variables)
        unknown = set(_ITEM.findall(self._format)) - set(_items(_EXAMPLE))
        if unknown:
            raise ConfigError(f"{config}: the demo cannot write {', '.join(sorted(unknown))}")

    def message(self, facts: EdgeFacts) -> str:
        """Write the message: the JSON line."""
        items = _items(facts)
        return _ITEM.sub(lambda item: items[item[1]], self._format)

    def frame(self, facts: EdgeFacts) -> bytes:
        """Write the message behind its RFC 5424 header, without a line end."""
        stamp = (_EPOCH + timedelta(microseconds=facts.end_us)).isoformat(timespec="microseconds")
        header = f"<{_FACILITY_AND_SEVERITY}>1 {stamp} {self.node} haproxy-edge {facts.pid} - - "
        return (header + self.message(facts)).encode()


def json_utf8s(value: str) -> str:
    """Escape as HAProxy's `json(utf8s)`: ASCII alone; what is not UTF-8, or above U+FFFF, is left out."""
    escaped = []
    for character in value:
        code = ord(character)
        if character in _ESCAPES:
            escaped.append(_ESCAPES[character])
        elif _CONTROL <= code < _DELETE:
            escaped.append(character)
        elif code <= _LAST_OF_BMP and not 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 -- surrogates
            escaped.append(f"\\u{code:04x}")
    return "".join(escaped)


def _unquoted(value: str, variables: dict[str, str]) -> str:
    """Read one word of HAProxy's configuration: strong quotes keep everything, weak ones expand."""
    if value.startswith("'"):
        return value[1:-1]
    plain = re.sub(r"\\(.)", r"\1", value[1:-1] if value.startswith('"') else value)
    return _VARIABLE.sub(lambda found: variables.get(found[1], ""), plain)


def _items(facts: EdgeFacts) -> dict[str, str]:
    """Give the text of every item of the format."""
    accepted_s, accepted_us = divmod(facts.accepted_us, 1_000_000)
    active, frontend, backend, server = facts.connections
    plain = {
        "ID": facts.request_id, "pid": facts.pid, "rt": facts.request_counter, "lc": facts.log_counter,
        "Ts": accepted_s, "ms": f"{accepted_us // 1000:03d}",
        "Th": facts.Th, "Ti": facts.Ti, "TR": facts.TR, "Tw": facts.Tw, "Tc": facts.Tc, "Tr": facts.Tr,
        "Td": facts.Td, "Ta": facts.Ta,
        "ci": facts.client_ip, "cp": facts.client_port, "fi": facts.bind_ip, "fp": facts.bind_port,
        "f": facts.frontend, "b": facts.backend, "s": facts.server,
        "si": facts.server_ip, "sp": facts.server_port, "bi": facts.source_ip, "bp": facts.source_port,
        "U": facts.bytes_read, "B": facts.bytes_sent, "ST": facts.status, "tsc": facts.termination,
        "rc": f"{'+' if facts.redispatched else ''}{facts.retries}",
        "sq": facts.server_queue, "bq": facts.backend_queue,
        "ac": active, "fc": frontend, "bc": backend, "sc": server,
        "sslv": facts.tls_version, "sslc": facts.tls_cipher,
        "[var(txn.traceparent)]": facts.traceparent, "[var(txn.req_us)]": facts.headers_us,
        "[date(0,us)]": facts.end_us, "[var(txn.roll)]": facts.roll, "[fc_http_major]": facts.http_major,
        "[ssl_c_used]": facts.client_cert_used, "[ssl_c_verify]": facts.client_cert_verify,
        "[fc_err]": facts.frontend_error,
    }  # fmt: skip
    client_text = {
        "[var(txn.pool),json(utf8s)]": facts.pool,
        "[capture.req.method,json(utf8s)]": facts.method,
        "[capture.req.hdr(0),json(utf8s)]": facts.claimed_request_id,
        "[capture.req.hdr(1),json(utf8s)]": facts.claimed_traceparent,
        "[capture.req.hdr(2),json(utf8s)]": facts.host,
        "[capture.req.hdr(3),json(utf8s)]": facts.user_agent,
        "[capture.req.hdr(4),json(utf8s)]": facts.path,
        "[capture.req.hdr(5),json(utf8s)]": facts.query,
        "[capture.req.hdr(6),json(utf8s)]": facts.tls_sni,
        "[capture.req.hdr(7),json(utf8s)]": facts.client_cert_dn,
        "[ssl_fc_alpn,json(utf8s)]": facts.tls_alpn,
        "[capture.res.hdr(0),json(utf8s)]": facts.gateway_request_id,
        "[capture.res.hdr(1),json(utf8s)]": facts.gateway_proxy_ms,
        "[capture.res.hdr(2),json(utf8s)]": facts.gateway_upstream_ms,
    }
    written = {name: "-" if value is None else str(value) for name, value in plain.items()}
    for name, value in client_text.items():
        written[name] = json_utf8s(str(value)) if value not in {None, ""} else "-"
    return written


_EXAMPLE = EdgeFacts(
    request_id="", traceparent="", pid=0, request_counter=0, log_counter=0, node="",
    accepted_us=0, headers_us=0, end_us=0,
)  # fmt: skip
