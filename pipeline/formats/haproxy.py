"""HAProxy's lines: bytes of one line in, an edge record or an event out."""

from __future__ import annotations

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.edge import EdgeBuilder
from pipeline.formats.edge_events import EventLines
from pipeline.formats.envelope import Envelope, unwrap
from pipeline.formats.haproxy_json import JsonLines
from pipeline.formats.httplog import match_httplog
from pipeline.formats.lenient_json import load_object
from pipeline.formats.log_format import Format, compile_format
from pipeline.formats.redact import Redactor
from pipeline.formats.text import decode
from pipeline.formats.times import Dates
from pipeline.model import EdgeEvent, EdgeRecord

_TOLD_APART = {"", "httplog", "json"}


class HaproxyParser:
    """Reads lines of one HAProxy configuration.

    Args:
        redactor: What clients wrote passes through it.
        log_format: A built-in name or the `log-format` string itself. Empty: the recommended JSON line,
            httplog (with or without captures, a trailing id, httpslog's fields) and CLF are told apart line
            by line; so they are beside a given format, since one socket carries several frontends' lines.
        time_zone: Zone of the dates that HAProxy writes without one.

    Raises:
        ConfigError: The format cannot be read.
    """

    def __init__(self, *, redactor: Redactor, log_format: str = "", time_zone: str = "UTC") -> None:
        dates = Dates(time_zone)
        self._format: Format | None = None if log_format in _TOLD_APART else compile_format(log_format)
        self._clf = compile_format("clf")
        self._json = JsonLines(redactor)
        self._edge = EdgeBuilder(redactor, dates)
        self._events = EventLines(redactor, dates)

    def parse(self, body: bytes, *, offset: int, arrival_ns: int, peer: str) -> EdgeRecord | EdgeEvent:
        """Read one line, in any of the envelopes of `envelope.py`.

        Raises:
            MalformedLine: It is not a line that HAProxy writes.
        """
        text, is_utf8 = decode(body)
        envelope = unwrap(text)
        message = envelope.message
        if self._format is None and message.startswith('{"v":"hap-'):
            flags = () if is_utf8 else (flag.NOT_UTF8,)
            return self._json.parse(envelope, offset=offset, arrival_ns=arrival_ns, peer=peer, flags=flags)
        flags_found = set() if is_utf8 else {flag.NOT_UTF8}
        items = self._items(message, flags_found)
        if items is not None:
            return self._edge.build(items, envelope, offset=offset, peer=peer, flags=flags_found)
        has_header = envelope.message is not text and len(message) < len(text.rstrip("\r\n\x00"))
        event = self._events.parse(envelope, offset=offset, arrival_ns=arrival_ns, has_header=has_header)
        if event is not None:
            return event
        if message.startswith('{"v":"hap-'):
            flags = (flag.NOT_UTF8,) if not is_utf8 else ()
            return self._json.parse(envelope, offset=offset, arrival_ns=arrival_ns, peer=peer, flags=flags)
        raise MalformedLine(*_why(envelope))

    def _items(self, message: str, flags: set[str]) -> dict[str, str | None] | None:
        if self._format is not None and (items := self._format.read(message)) is not None:
            return items
        if message.startswith("{"):
            return None
        return match_httplog(message, flags) or self._clf.read(message)


def _why(envelope: Envelope) -> tuple[str, str]:
    """Name the reason for a dead letter, without the line's own text."""
    if not envelope.message.strip():
        return "empty", "nothing behind the header"
    if envelope.message.startswith("{"):
        if load_object(envelope.message) is None:
            return "not_json", "begins like JSON and is not, or is cut off"
        return "unknown_json", "JSON of no known format; give its log-format"
    return "not_a_log_line", "of no known format; give its log-format"
