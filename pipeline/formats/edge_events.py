"""HAProxy's lines that are not requests: health, process, admin, drop notices, failed connections."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from pipeline.formats.envelope import Envelope
from pipeline.formats.redact import Redactor
from pipeline.formats.text import LARGEST_PID, whole_number
from pipeline.formats.times import Dates, epoch_us
from pipeline.model import EdgeEvent

_LONGEST = 4096
_WRITTEN_BY_HAPROXY = frozenset(
    {"events_dropped", "health_check", "server_state", "no_server", "proxy_state", "connection_error", "connection",
     "tcp_session"}
)  # fmt: skip
"""Kinds whose sentences hold nothing that a client wrote."""

_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("events_dropped", re.compile(r"(?P<count>\d{1,15}) events? dropped")),
    ("health_check", re.compile(r"Health check for (?:backup )?server (?P<proxy>[^/\s]+)/(?P<server>\S+) ")),
    (
        "server_state",
        re.compile(
            r"(?:Backup )?[Ss]erver (?P<proxy>[^/\s]+)/(?P<server>\S+) "
            r"(?:is|was|enters|leaves|has|remains|started|administratively)\b"
        ),
    ),
    ("no_server", re.compile(r"backend (?P<proxy>\S+) has no server available")),
    (
        "proxy_state",
        re.compile(
            r"(?:Proxy|(?:Paused|Resumed|Stopping|Enabling|Disabling|Starting)(?: \w+)?) "
            r"(?P<proxy>[\w.:<>-]+)"
        ),
    ),
    (
        "connection_error",
        re.compile(
            r"(?P<client>\S+):\d+ \[(?P<date>[^\]]{20,35})\] (?P<proxy>[^/\s]+)/\S*: (?P<sentence>.+)",
            re.DOTALL,
        ),
    ),
    (
        "connection_error",  # `error-log-format` of the httpslog kind: no status, no request
        re.compile(
            r"(?P<client>\S+):\d+ \[(?P<date>[^\]]{20,35})\] (?P<proxy>[^/\s]+?)~? \d+/\d+ \d+/[0-9A-Fa-f]+/"
        ),
    ),
    ("connection", re.compile(r"Connect from (?P<client>\S+):\d+ to \S+ \((?P<proxy>[^/)]+)/\w+\)")),
    (
        "tcp_session",
        re.compile(
            r"(?P<client>\S+):\d+ \[(?P<date>[^\]]{20,35})\] (?P<proxy>\S+) [^\s/]+/\S+ "
            r"-?\d+/-?\d+/\+?-?\d+ \+?\d+ [-A-Za-z]{2} \d+/"
        ),
    ),
    (
        "process",
        re.compile(
            r"(?:Loading|Loaded|Reloading|New worker|Former worker|Exiting|Current worker|Stopping|Started"
            r"|\[(?:NOTICE|WARNING|ALERT)\]|Received|config|Terminating|All workers|sendmsg|Cannot|Too many)"
        ),
    ),
)


class EventLines:
    """Tells the kinds of such lines apart."""

    def __init__(self, redactor: Redactor, dates: Dates) -> None:
        self._redactor = redactor
        self._dates = dates

    def parse(self, envelope: Envelope, *, offset: int, arrival_ns: int) -> EdgeEvent | None:
        """Give the event; None where the line is of no kind that HAProxy is known to write.

        A line that came with a syslog header and is plain words is kept as `other`: HAProxy's sentences
        change from release to release.
        """
        message = envelope.message
        for kind, pattern in _KINDS:
            if found := pattern.match(message):
                return self._event(kind, found.groupdict(), envelope, offset, arrival_ns)
        if envelope.has_header and envelope.pid is not None and _is_sentence(message):
            return self._event("other", {}, envelope, offset, arrival_ns)
        return None

    def of_values(
        self,
        kind: str,
        values: Mapping[str, str | None],
        envelope: Envelope,
        *,
        offset: int,
        arrival_ns: int,
        peer: str,
    ) -> EdgeEvent:
        """Give the event of a line that a compiled format read.

        Node and process are found as for a request of the same format: they share the frontend's counter.
        """
        date = next(
            (text for name in ("tr", "t", "trg", "T", "trl", "Tl") if (text := values.get(name))), None
        )
        parts = {"date": date, "proxy": values.get("ft") or values.get("f"), "client": values.get("ci")}
        server = values.get("s")
        event = self._event(kind, parts, envelope, offset, arrival_ns)
        time_us = event.time_us or epoch_us(f"{values.get('Ts')}.{values.get('ms') or '0'}")
        return msgspec.structs.replace(
            event,
            time_us=time_us,
            node=values.get("H") or envelope.node or peer or None,
            pid=whole_number(values.get("pid"), LARGEST_PID) or envelope.pid,
            server=None if server == "<NOSRV>" else server,
            log_counter=whole_number(values.get("lc")),
        )

    def _event(
        self, kind: str, parts: Mapping[str, str | None], envelope: Envelope, offset: int, arrival_ns: int
    ) -> EdgeEvent:
        date, proxy, client = parts.get("date"), parts.get("proxy"), parts.get("client")
        client = None if client in {"unix", "-"} else client
        shown = self._redactor.address(client)
        text = self._redactor.text(
            envelope.message.encode(errors="replace"), is_ours=kind in _WRITTEN_BY_HAPROXY
        )
        return EdgeEvent(
            offset=offset,
            arrival_ns=arrival_ns,
            time_us=self._time_us(date, envelope, arrival_ns),
            kind=kind,
            node=envelope.node,
            pid=envelope.pid,
            severity=envelope.severity,
            proxy=proxy.rstrip("~.") if proxy else None,
            server=parts.get("server"),
            client_ip=shown,
            count=int(parts["count"] or 0) if "count" in parts else None,
            text=(text if client == shown else text.replace(str(client), str(shown)))[:_LONGEST],
        )

    def _time_us(self, date: str | None, envelope: Envelope, arrival_ns: int) -> int | None:
        if date:
            return self._dates.local_us(date)
        return self._dates.header_us(envelope.time, arrival_ns // 1000) if envelope.time else None


def _is_sentence(message: str) -> bool:
    return len(message) > 2 and message[0].isalpha() and " " in message and message.isprintable()  # noqa: PLR2004 -- "a b"
