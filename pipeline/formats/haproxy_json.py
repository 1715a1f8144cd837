"""The recommended JSON line of `deploy/haproxy/haproxy.cfg` (`hap-req/1`, `hap-err/1`), the fast path."""

from __future__ import annotations

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.envelope import Envelope
from pipeline.formats.redact import Redactor
from pipeline.formats.request_line import http_version
from pipeline.formats.text import has_control, identity_hash, whole_number
from pipeline.formats.times import epoch_us
from pipeline.model import EdgeEvent, EdgeRecord, Timers

_REQUEST = "hap-req/1"
_ERROR = "hap-err/1"
_REFUSED = 400
_Number = int | str


class _Line(msgspec.Struct, gc=False):
    """Keys of the line; a number may be quoted, since `-` and `+N` must be."""

    v: str
    id: str = ""
    tp: str = ""
    node: str | None = None
    host: str = ""
    hst: str | None = None
    pid: int | None = None
    rt: int | None = None
    lc: int | None = None
    acc: str = ""
    req_us: str = ""
    end_us: str = ""
    ci: str = ""
    cp: str = ""
    fe: str = ""
    be: str = ""
    srv: str = ""
    si: str = ""
    sp: str = ""
    Th: int = -1
    Ti: int = -1
    TR: int = -1
    Tw: int = -1
    Tc: int = -1
    Tr: int = -1
    Td: int = -1
    Ta: str = ""
    st: int = -1
    ts: str = ""
    rc: str = ""
    B: str = ""
    U: _Number = ""
    m: str = ""
    path: str | None = None
    q: str = ""
    uri: str | None = None
    hv: str = ""
    h: str = ""
    ver: str = ""
    ua: str = ""
    c_rid: str = ""
    c_tp: str = ""
    tls: str = ""
    cph: str = ""
    sni: str = ""
    cc: str = ""
    cv: str = ""
    dn: str = ""
    pool: str = ""
    kong_rid: str = ""
    ferr: str = ""
    ferrs: str = ""
    serrs: str = ""
    end: int = 0


_decode = msgspec.json.Decoder(_Line).decode
_NONE = {"", "-"}


class JsonLines:
    """Reads recommended lines."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def parse(
        self, envelope: Envelope, *, offset: int, arrival_ns: int, peer: str, flags: tuple[str, ...]
    ) -> EdgeRecord | EdgeEvent:
        """Read one.

        Raises:
            MalformedLine: Not JSON, not one of our two versions, or cut off.
        """
        try:
            line = _decode(envelope.message)
        except msgspec.DecodeError as error:
            raise MalformedLine("not_json", str(error)) from error
        if line.v == _REQUEST or (line.v == _ERROR and line.st >= _REFUSED):
            return self._record(line, envelope, offset, peer, flags)
        if line.v == _ERROR:
            return self._connection_error(line, envelope, offset, arrival_ns)
        raise MalformedLine("unknown_version", f"v is {line.v[:32]!r}, known are {_REQUEST} and {_ERROR}")

    def _record(
        self, line: _Line, envelope: Envelope, offset: int, peer: str, flags: tuple[str, ...]
    ) -> EdgeRecord:
        accept_us = epoch_us(line.acc)
        if accept_us is None:
            raise MalformedLine("no_date", "acc is not seconds.milliseconds")
        path, query = line.path, line.q
        if path is None:  # the older line logs the target as a whole
            path, _, query = (line.uri or "").partition("?")
        if line.v == _ERROR:
            flags = (*flags, flag.BAD_REQUEST)
        host = line.host if line.node is not None else line.hst or ""
        if has_control(path) or has_control(line.ua):
            flags = (*flags, flag.CONTROL_CHARS)
        ta, retries = line.Ta, line.rc
        if ta[:1] == "+":
            flags = (*flags, flag.LOG_ASAP)
        th, ti = max(line.Th, 0), max(line.Ti, 0)
        return EdgeRecord(
            rec_id=identity_hash(
                line.id, line.node or line.host, str(line.pid), str(line.rt), line.acc, line.ci, line.cp
            ),
            offset=offset,
            request_id="" if line.id == "-" else line.id[:256],
            start_us=accept_us + (th + ti) * 1000,
            gateway_request_id=_text(line.kong_rid),
            traceparent=_text(line.tp),
            request_start_us=whole_number(line.req_us),
            end_us=whole_number(line.end_us),
            node=line.node or (line.host if line.node is None else None) or envelope.node or peer or None,
            pid=line.pid,
            log_counter=line.lc,
            frontend=_text(line.fe),
            backend=_text(line.be),
            server=None if line.srv == "<NOSRV>" else _text(line.srv),
            server_ip=_text(line.si),
            server_port=whole_number(line.sp),
            client_ip=None if line.ci == "unix" else _text(line.ci),
            client_port=whole_number(line.cp),
            timers=Timers(
                line.TR if line.TR >= 0 else None,
                line.Tw if line.Tw >= 0 else None,
                line.Tc if line.Tc >= 0 else None,
                line.Tr if line.Tr >= 0 else None,
                line.Td if line.Td >= 0 else None,
                whole_number(ta),
                line.Th if line.Th >= 0 else None,
                line.Ti if line.Ti >= 0 else None,
            ),
            status=line.st if line.st > 0 else None,
            termination=line.ts or None,
            retries=whole_number(retries) or 0,
            redispatched=retries[:1] == "+",
            request_bytes=line.U if isinstance(line.U, int) else whole_number(line.U),
            response_bytes=whole_number(line.B),
            method=None if line.m == "<BADREQ>" else _text(line.m),
            scheme="https" if line.tls not in _NONE else "http",
            host=_text(host),
            path=_text(path),
            query=self._redactor.query(query) if query not in _NONE else None,
            http_version=http_version(line.hv or line.h or line.ver.removeprefix("HTTP/")),
            user_agent=_text(line.ua),
            tls_version=_text(line.tls),
            tls_cipher=_text(line.cph),
            tls_sni=_text(line.sni),
            tls_client_verify=line.cv if line.cc == "1" else None,
            tls_client_dn=_text(line.dn),
            claimed_request_id=_text(line.c_rid),
            claimed_traceparent=_text(line.c_tp),
            pool=_text(line.pool),
            error=_text(line.ferrs) or (line.ferr if line.ferr not in {"", "-", "0"} else None),
            flags=flags,
        )

    def _connection_error(self, line: _Line, envelope: Envelope, offset: int, arrival_ns: int) -> EdgeEvent:
        return EdgeEvent(
            offset=offset,
            arrival_ns=arrival_ns,
            time_us=whole_number(line.end_us) or epoch_us(line.acc),
            kind="connection_error",
            node=line.node or line.host or envelope.node,
            pid=line.pid,
            severity=envelope.severity,
            proxy=_text(line.fe),
            client_ip=_text(line.ci),
            text=self._redactor.text(f"{line.ts} {line.ferrs} {line.serrs}".encode())[:4096].strip(),
        )


def _text(text: str | None) -> str | None:
    return None if not text or text == "-" else text
