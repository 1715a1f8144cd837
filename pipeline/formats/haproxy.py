"""HAProxy's lines: bytes of one line in, an edge record or an event out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline.errors import ConfigError, MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.edge import EdgeBuilder
from pipeline.formats.edge_events import EventLines
from pipeline.formats.envelope import Envelope, unwrap
from pipeline.formats.haproxy_json import JsonLines, is_recommended
from pipeline.formats.httplog import match_httplog
from pipeline.formats.lenient_json import load_object
from pipeline.formats.line_formats import LineFormat, LineFormats
from pipeline.formats.log_format import compile_format
from pipeline.formats.log_format.items import TOLD_APART
from pipeline.formats.redact import Redactor
from pipeline.formats.text import whole_number
from pipeline.formats.times import Dates
from pipeline.model import EdgeEvent, EdgeRecord

_LONGEST_LINE = 128 * 1024
"""Twice the most that HAProxy's `len` may be."""
_REFUSED = 400


class HaproxyParser:
    """Reads the lines of one HAProxy, or of several that share a socket.

    Args:
        redactor: What clients wrote passes through it.
        log_format: A built-in name or the `log-format` string itself. Empty: the recommended JSON line, httplog
            and httpslog (with or without captures, a trailing id), CLF and tcplog are told apart line by line;
            so they are beside a given format, since one socket carries several frontends' lines.
        time_zone: Zone of the dates that HAProxy writes without one.
        names: What the expressions of `log_format` are called, see `compile_format`.
        formats: Further formats, as `haproxy_config.line_formats` finds them in a `haproxy.cfg`.
        on_warning: Told once of each thing that the lines say about wrong settings, see `warnings`.

    Raises:
        ConfigError: The format cannot be read.
    """

    def __init__(
        self,
        *,
        redactor: Redactor,
        log_format: str = "",
        time_zone: str = "UTC",
        names: Mapping[str, str] | None = None,
        formats: Sequence[LineFormat] = (),
        on_warning: Callable[[str], None] | None = None,
    ) -> None:
        dates = Dates(time_zone)
        own = () if log_format in TOLD_APART else (LineFormat(compile_format(log_format, names=names)),)
        if names and not own and not formats:
            raise ConfigError("log_format: names are given, but no log-format whose expressions they name")
        self._formats = LineFormats(
            [item for item in (*own, *formats) if not is_recommended(item.compiled.text)]
        )
        self._clf = compile_format("clf")
        self._json = JsonLines(redactor)
        self._parse_fast = self._json.parse_fast
        self._edge = EdgeBuilder(redactor, dates)
        if on_warning is not None:
            self._edge.zone_watch.tell = on_warning
        self._events = EventLines(redactor, dates)

    @property
    def warnings(self) -> Mapping[str, int]:
        """What the lines say about wrong settings, in words, with how often; to be shown to the operator."""
        return self._edge.zone_watch.warnings

    def parse(self, body: bytes, *, offset: int, arrival_ns: int, peer: str) -> EdgeRecord | EdgeEvent:
        """Read one line, in any of the envelopes of `envelope.py`.

        Raises:
            MalformedLine: It is not a line that HAProxy writes.
        """
        record = self._parse_fast(body, offset, peer)
        if record is not None:
            return record
        if len(body) > _LONGEST_LINE:
            raise MalformedLine("too_large", f"{len(body)} bytes; HAProxy's longest line has 65,535")
        envelope = unwrap(body)
        malformed = MalformedLine(*_why(envelope)) if envelope.message.startswith("{") else None
        if is_recommended(envelope.message):
            try:
                return self._json.parse(envelope, offset=offset, arrival_ns=arrival_ns, peer=peer)
            except MalformedLine as error:
                malformed = error  # unless a client's text begins a line of another format
        flags = set() if envelope.is_utf8 else {flag.NOT_UTF8}
        found = self._formats.read(envelope, flags)
        if found is not None and _is_event(*found):
            kind = "connection_error" if found[0].is_error else "tcp_session"
            return self._events.of_values(
                kind, found[1], envelope, offset=offset, arrival_ns=arrival_ns, peer=peer
            )
        if found is None and malformed is not None:
            raise malformed
        values = found[1] if found else match_httplog(envelope.message, flags)
        if values is None:
            event = self._events.parse(envelope, offset=offset, arrival_ns=arrival_ns)
            if event is not None:
                return event
            values = self._clf.read(envelope.message, flags)
        if values is None:
            raise MalformedLine(*_why(envelope))
        return self._edge.build(
            values, envelope, offset=offset, arrival_ns=arrival_ns, peer=peer, flags=flags
        )


def _is_event(line_format: LineFormat, values: Mapping[str, str | None]) -> bool:
    """Whether a line of a format is of no request.

    One of `error-log-format` is of a request all the same if it was answered (400, 408).
    """
    if not line_format.is_error:
        return line_format.compiled.is_session
    return (whole_number(values.get("ST")) or 0) < _REFUSED


def _why(envelope: Envelope) -> tuple[str, str]:
    """Name the reason for a dead letter, without the line's own text."""
    if not envelope.message.strip():
        return "empty", "nothing behind the header"
    if envelope.message.startswith("{"):
        if load_object(envelope.message) is None:
            return "not_json", "begins like JSON and is not, or is cut off"
        return "unknown_json", "JSON of no known format; give its log-format"
    return "not_a_log_line", "of no known format; give its log-format"
