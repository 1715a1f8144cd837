"""From a decoded recommended line to an edge record.

On the hot path: the record is filled by position, since named arguments cost msgspec four times as much, and what
is asked of most fields (`-` is "none") stands where it is asked, since a call costs more than the question.
"""

from __future__ import annotations

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.haproxy_line import ERROR, Line
from pipeline.formats.redact import Redactor
from pipeline.formats.request_line import http_version, split_target
from pipeline.formats.text import LARGEST_COUNT, LARGEST_PORT, has_control, joined_hash, whole_number
from pipeline.formats.times import epoch_us
from pipeline.model import EdgeRecord, Timers

_MOST_PORTS = 1024
_LONGEST_ID = 256
_LONGEST_METHOD = 64
_NO_SERVER = frozenset({"", "-", "<NOSRV>"})
_NO_ADDRESS = frozenset({"", "-", "unix"})
_NO_METHOD = frozenset({"", "-", "<BADREQ>"})
_NO_ERROR = frozenset({"", "-", "0"})
_TRUE = frozenset({"1", "true"})


class JsonRecords:
    """Makes edge records of lines."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._ports: dict[str, int | None] = {}

    def build(self, line: Line, sender: str, offset: int, flags: list[str] | None) -> EdgeRecord:
        """Make one.

        Args:
            line: Decoded, no text longer than `LONGEST_FIELD`.
            sender: Stands for a node that the line does not name.
            offset: On the bus.
            flags: What reading it raised; None where no field can hold a control character either.

        Raises:
            MalformedLine: Without an accept date a line has no place.
        """
        redactor, ports = self._redactor, self._ports
        accept, client, port, request_id, server_port = line.acc, line.ci, line.cp, line.id, line.sp
        accept_us = epoch_us(accept) if accept else line.acc_us
        if accept_us is None:
            raise MalformedLine("no_date", "neither acc (seconds.milliseconds) nor acc_us")
        tr, tw, tc, tres, td, ta, th, ti = (
            line.TR,
            line.Tw,
            line.Tc,
            line.Tr,
            line.Td,
            line.Ta,
            line.Th,
            line.Ti,
        )
        timers = Timers(
            tr if tr >= 0 else None,
            tw if tw >= 0 else None,
            tc if tc >= 0 else None,
            tres if tres >= 0 else None,
            td if td >= 0 else None,
            ta if ta >= 0 else None,
            th if th >= 0 else None,
            ti if ti >= 0 else None,
        )
        path, query, host, node, user_agent = line.path, line.q, line.host, line.node, line.ua
        if node is None:  # an older line: `host` is HAProxy's own name, and the target stands as a whole
            node, host = host, line.hst or ""
        if path is None:
            target = split_target(line.uri or "")
            path, query, host = target.path or "", target.query or "", host or target.host or ""
        gateway_id, traceparent, method, retries, tls = line.kong_rid, line.tp, line.m, line.rc, line.tls
        if len(request_id) + len(gateway_id) + len(traceparent) + len(method) > _LONGEST_ID:
            request_id, gateway_id = request_id[:_LONGEST_ID], gateway_id[:_LONGEST_ID]
            traceparent, method = traceparent[:_LONGEST_ID], method[:_LONGEST_METHOD]
        frontend, backend, address, cipher, sni, dn = line.fe, line.be, line.si, line.cph, line.sni, line.dn
        claimed, parent, pool, error, server = line.c_rid, line.c_tp, line.pool, line.ferrs, line.srv
        date = accept or line.acc_us
        identity = f"{line.id}\x1f{node}\x1f{line.pid}\x1f{line.rt}\x1f{date}\x1f{client}\x1f{port}"
        is_moved = retries != "0" or line.rdsp != ""
        return EdgeRecord(
            joined_hash(identity),  # rec_id
            offset,  # offset
            "" if request_id == "-" else redactor.identifier(request_id),  # request_id
            accept_us if th <= 0 and ti <= 0 else accept_us + (max(th, 0) + max(ti, 0)) * 1000,  # start_us
            None
            if gateway_id == "-" or not gateway_id
            else redactor.identifier(gateway_id),  # gateway_request_id
            None
            if traceparent == "-" or not traceparent
            else redactor.identifier(traceparent),  # traceparent
            line.req_us,  # request_start_us
            line.end_us,  # end_us
            node or sender or None,  # node
            line.pid,  # pid
            line.lc,  # log_counter
            None if frontend == "-" else frontend or None,  # frontend
            None if backend == "-" else backend or None,  # backend
            None if server in _NO_SERVER else server,  # server
            None if address == "-" else address or None,  # server_ip
            ports[server_port] if server_port in ports else self._port(server_port),  # server_port
            None if client in _NO_ADDRESS else redactor.address(client),  # client_ip
            None
            if port is None or client == "unix" or not 0 <= port <= LARGEST_PORT
            else port,  # client_port
            timers,  # timers
            line.st if line.st > 0 else None,  # status
            line.ts or None,  # termination
            whole_number(retries, LARGEST_COUNT) or 0 if is_moved else 0,  # retries
            is_moved and (retries[:1] == "+" or line.rdsp in _TRUE),  # redispatched
            line.U,  # request_bytes
            line.B,  # response_bytes
            None if method in _NO_METHOD else method,  # method
            "http" if tls == "-" or not tls else "https",  # scheme
            None if host == "-" or not host else redactor.clean(host),  # host
            None if path == "-" or not path else redactor.path(path),  # path
            None if query == "-" or not query else redactor.query(query),  # query
            http_version(line.hv or line.h or line.ver[5:]),  # http_version
            None if user_agent == "-" or not user_agent else redactor.clean(user_agent),  # user_agent
            None if tls == "-" else tls or None,  # tls_version
            None if cipher == "-" else cipher or None,  # tls_cipher
            None if sni == "-" or not sni else redactor.clean(sni),  # tls_sni
            line.cv if line.cc == "1" else None,  # tls_client_verify
            None if dn == "-" or not dn else redactor.user(redactor.clean(dn)),  # tls_client_dn
            None if claimed == "-" or not claimed else redactor.identifier(claimed),  # claimed_request_id
            None if parent == "-" or not parent else redactor.identifier(parent),  # claimed_traceparent
            None if pool == "-" else pool or None,  # pool
            redactor.clean(error)
            if error and error != "-"
            else None
            if line.ferr in _NO_ERROR
            else line.ferr,  # error
            () if flags is None else _flags(line, path, user_agent, flags),  # flags
        )

    def _port(self, text: str) -> int | None:
        """Read a server's port; there are few of them."""
        try:
            return self._ports[text]
        except KeyError:
            if len(self._ports) < _MOST_PORTS:
                self._ports[text] = whole_number(text, LARGEST_PORT)
            return whole_number(text, LARGEST_PORT)


def _flags(line: Line, path: str, user_agent: str, raised: list[str]) -> tuple[str, ...]:
    found = set(raised)
    if line.v == ERROR:
        found.add(flag.BAD_REQUEST)
    if has_control(path) or has_control(user_agent):
        found.add(flag.CONTROL_CHARS)
    return tuple(sorted(found))
