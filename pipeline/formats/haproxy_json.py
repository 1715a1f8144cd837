"""The recommended JSON line of `deploy/haproxy/haproxy.cfg` to an edge record: the fast path."""

from __future__ import annotations

import re

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.envelope import Envelope, is_header
from pipeline.formats.haproxy_json_record import JsonRecords
from pipeline.formats.haproxy_line import ERROR, REQUEST, Line, decode_line, read_leniently
from pipeline.formats.lenient_json import REFUSED
from pipeline.formats.redact import Redactor
from pipeline.formats.text import LONGEST_FIELD
from pipeline.formats.times import epoch_us
from pipeline.model import EdgeEvent, EdgeRecord

_START = b'{"v":"hap-req/1"'
_OURS = re.compile(r'\{\s{0,8}"v"\s{0,8}:\s{0,8}"hap-').match
_LONGEST_HEADER = 512
_REFUSED = 400
_NONE = frozenset({"", "-"})
_NO_ADDRESS = frozenset({"", "-", "unix"})


def is_recommended(message: str) -> bool:
    """Whether a message, or a log-format, begins as the recommended lines do; spaces do not matter."""
    return _OURS(message) is not None


class JsonLines:
    """Reads recommended lines."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._build = JsonRecords(redactor).build

    def parse_fast(self, body: bytes, offset: int, peer: str) -> EdgeRecord | None:
        """Read a line without taking its header apart, which it does not need; None where it is not that simple.

        What stands before the JSON must be a syslog header, or a client whose text begins a line of another
        format could write the record of a request that never was.
        """
        at = body.find(_START, 0, _LONGEST_HEADER)
        if at:
            if at < 0 or not is_header(body, at):
                return None
            raw = body[at:]
        else:
            raw = body
        if len(raw) > LONGEST_FIELD:
            return None
        try:
            line = decode_line(raw)
        except REFUSED:
            return None
        if line.v != REQUEST or not (line.node or line.host):
            return None
        # In strict JSON a control character other than DEL stands behind a backslash.
        return self._build(line, peer, offset, [] if b"\\" in raw or b"\x7f" in raw else None)

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
        if line.v == REQUEST or (line.v == ERROR and line.st >= _REFUSED):
            return self._build(line, envelope.node or peer, offset, flags)
        if line.v == ERROR:
            return self._connection_error(line, envelope, offset, arrival_ns, peer)
        raise MalformedLine("unknown_version", f"v is neither {REQUEST} nor {ERROR}")

    @staticmethod
    def _bound(line: Line, flags: list[str]) -> None:
        for name in Line.__struct_fields__:
            text = getattr(line, name)
            if isinstance(text, str) and len(text) > LONGEST_FIELD:
                setattr(line, name, text[:LONGEST_FIELD])
                flags.append(flag.TRUNCATED)

    def _connection_error(
        self, line: Line, envelope: Envelope, offset: int, arrival_ns: int, peer: str
    ) -> EdgeEvent:
        return EdgeEvent(
            offset=offset,
            arrival_ns=arrival_ns,
            time_us=line.end_us or line.acc_us or epoch_us(line.acc),
            kind="connection_error",
            node=line.node or line.host or envelope.node or peer or None,
            pid=line.pid or envelope.pid,
            log_counter=line.lc,
            severity=envelope.severity,
            proxy=None if line.fe in _NONE else line.fe,
            client_ip=None if line.ci in _NO_ADDRESS else self._redactor.address(line.ci),
            text=self._redactor.shapes(
                " ".join(text for text in (line.ts, line.ferrs or line.ferr, line.serrs) if text not in _NONE)
            )[:4096],
        )
