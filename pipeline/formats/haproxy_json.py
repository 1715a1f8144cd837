"""The recommended JSON line of `deploy/haproxy/haproxy.cfg` to an edge record: the fast path."""

from __future__ import annotations

import re

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.envelope import Envelope, is_header
from pipeline.formats.haproxy_line import Line, decode_line, read_leniently
from pipeline.formats.lenient_json import REFUSED
from pipeline.formats.redact import Redactor
from pipeline.formats.request_line import http_version, split_target
from pipeline.formats.text import (
    LARGEST_COUNT,
    LARGEST_PORT,
    LONGEST_FIELD,
    has_control,
    joined_hash,
    whole_number,
)
from pipeline.formats.times import epoch_us
from pipeline.model import EdgeEvent, EdgeRecord, Timers

_START = b'{"v":"hap-'
_OURS = re.compile(r'\{\s{0,8}"v"\s{0,8}:\s{0,8}"hap-').match
_LONGEST_HEADER = 512
_REQUEST, _ERROR = "hap-req/1", "hap-err/1"
_REFUSED = 400
_MOST_PORTS = 1024
_NONE = frozenset({"", "-"})
_NO_SERVER = frozenset({"", "-", "<NOSRV>"})
_NO_ADDRESS = frozenset({"", "-", "unix"})
_NO_METHOD = frozenset({"", "-", "<BADREQ>"})
_NO_ERROR = frozenset({"", "-", "0"})
_TRUE = frozenset({"1", "true"})


def is_recommended(message: str) -> bool:
    """Whether a message, or a log-format, begins as the recommended lines do; spaces do not matter."""
    return _OURS(message) is not None


class JsonLines:
    """Reads recommended lines."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._ports: dict[str, int | None] = {}

    def parse_fast(self, body: bytes, offset: int, peer: str) -> EdgeRecord | None:
        """Read a line without taking its header apart, which it does not need; None where it is not that simple.

        What stands before the JSON must be a syslog header, or a client whose text begins a line of another
        format could write the record of a request that never was.
        """
        at = body.find(_START, 0, _LONGEST_HEADER)
        if at < 0 or len(body) > LONGEST_FIELD or not is_header(body, at):
            return None
        try:
            line = decode_line(body[at:] if at else body)
        except REFUSED:
            return None
        return (
            self._record(line, peer, offset, None)
            if line.v == _REQUEST and (line.node or line.host)
            else None
        )

    def parse(self, envelope: Envelope, *, offset: int, arrival_ns: int, peer: str) -> EdgeRecord | EdgeEvent:
        """Read one, whatever its state.

        Raises:
            MalformedLine: Not JSON as far as it goes, not one of our two versions, or without a date.
        """
        flags = [] if envelope.is_utf8 else [flag.NOT_UTF8]
        try:
            line = decode_line(envelope.raw)
        except REFUSED:
            line, raised = read_leniently(envelope.raw.decode(errors="surrogateescape"))
            flags += raised
        self._bound(line, flags)
        if line.v == _REQUEST or (line.v == _ERROR and line.st >= _REFUSED):
            return self._record(line, envelope.node or peer, offset, flags)
        if line.v == _ERROR:
            return self._connection_error(line, envelope, offset, arrival_ns)
        raise MalformedLine("unknown_version", f"v is neither {_REQUEST} nor {_ERROR}")

    @staticmethod
    def _bound(line: Line, flags: list[str]) -> None:
        for name in Line.__struct_fields__:
            text = getattr(line, name)
            if isinstance(text, str) and len(text) > LONGEST_FIELD:
                setattr(line, name, text[:LONGEST_FIELD])
                flags.append(flag.TRUNCATED)

    def _record(self, line: Line, sender: str, offset: int, flags: list[str] | None) -> EdgeRecord:
        accept_us = epoch_us(line.acc) if line.acc else line.acc_us
        if accept_us is None:
            raise MalformedLine("no_date", "neither acc (seconds.milliseconds) nor acc_us")
        redactor, none = self._redactor, _NONE
        th, ti, tr, tw, tc, tres, td, ta = (
            line.Th,
            line.Ti,
            line.TR,
            line.Tw,
            line.Tc,
            line.Tr,
            line.Td,
            line.Ta,
        )
        request_id, client, port, status, pid = line.id, line.ci, line.cp, line.st, line.pid
        path, query, host, node, user_agent = line.path, line.q, line.host, line.node, line.ua
        if node is None:  # an older line: `host` is HAProxy's own name, and the target stands as a whole
            node, host = host, line.hst or ""
        if path is None:
            target = split_target(line.uri or "")
            path, query, host = target.path or "", target.query or "", host or target.host or ""
        is_plain = flags is None and path.isprintable() and user_agent.isprintable()
        return EdgeRecord(
            rec_id=joined_hash(
                f"{request_id}\x1f{node}\x1f{pid}\x1f{line.rt}\x1f{line.acc or line.acc_us}\x1f{client}\x1f{port}"
            ),
            offset=offset,
            request_id="" if request_id in none else redactor.identifier(request_id[:256]),
            start_us=accept_us if th <= 0 and ti <= 0 else accept_us + (max(th, 0) + max(ti, 0)) * 1000,
            gateway_request_id=None if line.kong_rid in none else line.kong_rid[:256],
            traceparent=None if line.tp in none else line.tp[:256],
            request_start_us=line.req_us,
            end_us=line.end_us,
            node=node or sender or None,
            pid=pid,
            log_counter=line.lc,
            frontend=None if line.fe in none else line.fe,
            backend=None if line.be in none else line.be,
            server=None if line.srv in _NO_SERVER else line.srv,
            server_ip=None if line.si in none else line.si,
            server_port=self._port(line.sp),
            client_ip=None if client in _NO_ADDRESS else redactor.address(client),
            client_port=None if client == "unix" or port is None or not 0 <= port <= LARGEST_PORT else port,
            timers=Timers(
                tr if tr >= 0 else None,
                tw if tw >= 0 else None,
                tc if tc >= 0 else None,
                tres if tres >= 0 else None,
                td if td >= 0 else None,
                ta if ta >= 0 else None,
                th if th >= 0 else None,
                ti if ti >= 0 else None,
            ),
            status=status if status > 0 else None,
            termination=line.ts or None,
            retries=0 if line.rc == "0" else whole_number(line.rc, LARGEST_COUNT) or 0,
            redispatched=line.rc[:1] == "+" or line.rdsp in _TRUE,
            request_bytes=line.U,
            response_bytes=line.B,
            method=None if line.m in _NO_METHOD else line.m[:64],
            scheme="http" if line.tls in none else "https",
            host=None if host in none else redactor.clean(host),
            path=None if path in none else redactor.path(path),
            query=None if query in none else redactor.query(query),
            http_version=http_version(line.hv or line.h or line.ver[5:]),
            user_agent=None if user_agent in none else redactor.clean(user_agent),
            tls_version=None if line.tls in none else line.tls,
            tls_cipher=None if line.cph in none else line.cph,
            tls_sni=None if line.sni in none else redactor.clean(line.sni),
            tls_client_verify=line.cv if line.cc == "1" else None,
            tls_client_dn=None if line.dn in none else redactor.user(redactor.clean(line.dn)),
            claimed_request_id=None if line.c_rid in none else redactor.identifier(line.c_rid),
            claimed_traceparent=None if line.c_tp in none else redactor.identifier(line.c_tp),
            pool=None if line.pool in none else line.pool,
            error=line.ferrs if line.ferrs not in none else None if line.ferr in _NO_ERROR else line.ferr,
            flags=() if is_plain else _flags(line, path, user_agent, flags),
        )

    def _port(self, text: str) -> int | None:
        """Read a server's port; there are few of them."""
        try:
            return self._ports[text]
        except KeyError:
            if len(self._ports) < _MOST_PORTS:
                self._ports[text] = whole_number(text, LARGEST_PORT)
            return whole_number(text, LARGEST_PORT)

    def _connection_error(self, line: Line, envelope: Envelope, offset: int, arrival_ns: int) -> EdgeEvent:
        return EdgeEvent(
            offset=offset,
            arrival_ns=arrival_ns,
            time_us=line.end_us or line.acc_us or epoch_us(line.acc),
            kind="connection_error",
            node=line.node or line.host or envelope.node,
            pid=line.pid,
            severity=envelope.severity,
            proxy=None if line.fe in _NONE else line.fe,
            client_ip=None if line.ci in _NO_ADDRESS else self._redactor.address(line.ci),
            text=" ".join(
                text for text in (line.ts, line.ferrs or line.ferr, line.serrs) if text not in _NONE
            )[:4096],
        )


def _flags(line: Line, path: str, user_agent: str, raised: list[str] | None) -> tuple[str, ...]:
    found = set(raised or ())
    if line.v == _ERROR:
        found.add(flag.BAD_REQUEST)
    if has_control(path) or has_control(user_agent):
        found.add(flag.CONTROL_CHARS)
    return tuple(sorted(found))
