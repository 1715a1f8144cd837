"""From the values of a log line to an edge record; shared by every format but the recommended JSON line.

A value is named by its alias (`ci`, `tr`, `TR`, `ST`, …, manual 8.2.6) or, for what only expressions give, by a
word of `log_format.items.WORDS`. Values are as logged; `-` is "none".
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.envelope import Envelope
from pipeline.formats.redact import Redactor
from pipeline.formats.request_line import (
    RequestLine,
    http_version,
    parse_request_line,
    split_target,
    unescape,
)
from pipeline.formats.text import (
    LARGEST_COUNT,
    LARGEST_PID,
    LARGEST_PORT,
    LARGEST_STATUS,
    LONGEST_FIELD,
    NUMBERS,
    has_control,
    joined_hash,
    whole_number,
)
from pipeline.formats.times import Dates, epoch_us
from pipeline.formats.zone_watch import ZoneWatch
from pipeline.model import EdgeRecord, Timers

Values = Mapping[str, str | None]
_BAD_REQUEST = "<BADREQ>"
_NO_REQUEST = RequestLine(None, None, None, None, None, None, is_whole=True)
_IDENTITY = ("ID", "H", "pid", "rt", "ci", "cp", "tr", "t", "T", "Ts", "ms", "trg")
_LONGEST_SHORT = 256


class EdgeBuilder:
    """Makes edge records of values."""

    def __init__(self, redactor: Redactor, dates: Dates) -> None:
        self._redactor = redactor
        self._dates = dates
        self.zone_watch = ZoneWatch(dates.time_zone)

    def build(
        self, values: Values, envelope: Envelope, *, offset: int, arrival_ns: int, peer: str, flags: set[str]
    ) -> EdgeRecord:
        """Build a record.

        Raises:
            MalformedLine: There is no date at all, so that it is no log line of a request.
        """
        get, redactor, number = values.get, self._redactor, NUMBERS
        timers = Timers(
            number[get("TR")], number[get("Tw")], number[get("Tc")], number[get("Tr")],
            number[get("Td")], number[get("Ta")], number[get("Th")], number[get("Ti")],
        )  # fmt: skip
        identity = "\x1f".join([text or "" for text in map(get, _IDENTITY)])
        start_us = self._start_us(values, timers, envelope, arrival_ns, flags)
        if (get("Ta") or get("B") or "")[:1] == "+":
            flags.add(flag.LOG_ASAP)

        method, scheme, host, path, query, version, _ = self._request(values, flags)
        shown_path = redactor.path(self._bounded(path, flags)) if path else None
        shown_query = redactor.query(self._bounded(query, flags)) if query else None
        user_agent = _text(get("user_agent"))
        user_agent = redactor.clean(self._bounded(user_agent, flags)) if user_agent else None
        host = self._cleaned(_text(get("host")) or host, flags)
        claimed_id = self._cleaned(get("claimed_request_id"), flags)
        claimed_parent = self._cleaned(get("claimed_traceparent"), flags)
        sni, client_dn = self._cleaned(get("sni"), flags), self._cleaned(get("client_dn"), flags)

        request_id, client, server, tls_version = get("ID"), get("ci"), get("s"), _text(get("sslv"))
        retries, frontend = get("rc") or "", _text(get("ft")) or _text(get("f")) or ""
        is_tls = tls_version is not None or frontend[-1:] == "~"
        gateway_id, traceparent = (
            _text(get("kong_rid"), _LONGEST_SHORT),
            _text(get("traceparent"), _LONGEST_SHORT),
        )
        error, sent_us = _text(get("error"), _LONGEST_SHORT), get("req_us")
        return EdgeRecord(
            joined_hash(identity),  # rec_id
            offset,  # offset
            redactor.identifier(request_id[:_LONGEST_SHORT])
            if request_id and request_id != "-"
            else "",  # request_id
            start_us,  # start_us
            redactor.identifier(gateway_id) if gateway_id else None,  # gateway_request_id
            redactor.identifier(traceparent) if traceparent else None,  # traceparent
            whole_number(sent_us.removeprefix("t=")) if sent_us else None,  # request_start_us
            number[get("end_us")],  # end_us
            _text(get("H"), _LONGEST_SHORT) or envelope.node or peer or None,  # node
            whole_number(get("pid"), LARGEST_PID) or envelope.pid,  # pid
            number[get("lc")],  # log_counter
            frontend.removesuffix("~") if frontend else None,  # frontend
            _text(get("b")),  # backend
            None if server == "<NOSRV>" else _text(server),  # server
            _text(get("si")),  # server_ip
            whole_number(get("sp"), LARGEST_PORT),  # server_port
            None if client == "unix" else redactor.address(_text(client)),  # client_ip
            None if client == "unix" else whole_number(get("cp"), LARGEST_PORT),  # client_port
            timers,  # timers
            whole_number(get("ST"), LARGEST_STATUS) or None,  # status
            get("tsc") or get("ts"),  # termination
            whole_number(retries, LARGEST_COUNT) or 0,  # retries
            retries[:1] == "+",  # redispatched
            number[get("U")],  # request_bytes
            number[get("B")],  # response_bytes
            method,  # method
            scheme or ("https" if is_tls else "http"),  # scheme
            host,  # host
            shown_path,  # path
            shown_query,  # query
            version,  # http_version
            user_agent,  # user_agent
            tls_version,  # tls_version
            _text(get("sslc")),  # tls_cipher
            sni,  # tls_sni
            None if get("cert_used") == "0" else _text(get("client_verify")),  # tls_client_verify
            redactor.user(client_dn),  # tls_client_dn
            claimed_id,  # claimed_request_id
            claimed_parent,  # claimed_traceparent
            _text(get("pool"), _LONGEST_SHORT),  # pool
            redactor.clean(error) if error else None,  # error
            tuple(sorted(flags)) if flags else (),  # flags
        )

    def _start_us(
        self, values: Values, timers: Timers, envelope: Envelope, arrival_ns: int, flags: set[str]
    ) -> int:
        """Find the first byte's date: `%tr`, else accept + Th + Ti (manual 8.4), else from the header."""
        text = values.get("tr")
        if text and (start_us := self._dates.local_us(text)) is not None:
            if envelope.time and self.zone_watch.is_due() and timers.Ta is not None:
                self._compare(start_us, timers.Ta, envelope.time)
            return start_us
        for name in ("trg", "trl"):
            if (text := values.get(name)) and (start_us := self._dates.local_us(text)) is not None:
                return start_us
        before_ms = (timers.Th or 0) + (timers.Ti or 0)
        if (accept_us := self._accept_us(values)) is not None:
            duration_ms = whole_number(values.get("Tt"))
            if envelope.time and values.get("t") and duration_ms is not None and self.zone_watch.is_due():
                self._compare(accept_us, duration_ms, envelope.time)
            return accept_us + before_ms * 1000
        if start_us := whole_number((values.get("req_us") or "").removeprefix("t=")):
            return start_us
        header_us = self._dates.header_us(envelope.time, arrival_ns // 1000) if envelope.time else None
        if header_us is None:
            raise MalformedLine("no_date", "none of %t, %tr, %Ts, %trg and no date in a header")
        flags.add(flag.HEADER_TIME)
        return header_us - (timers.Ta or 0) * 1000

    def _compare(self, start_us: int, duration_ms: int, header: str) -> None:
        if header[10:11] == "T" and (written_us := self._dates.header_us(header, 0)) is not None:
            self.zone_watch.look(start_us, duration_ms, written_us)

    def _accept_us(self, values: Values) -> int | None:
        seconds = values.get("Ts")
        if seconds and (
            accept_us := epoch_us(seconds if "." in seconds else f"{seconds}.{values.get('ms') or '0'}")
        ):
            return accept_us
        for name in ("t", "T", "Tl"):
            if (text := values.get(name)) and (accept_us := self._dates.local_us(text)) is not None:
                return accept_us
        return whole_number(values.get("acc_us"))

    def _request(self, values: Values, flags: set[str]) -> RequestLine:
        line = values.get("r")
        if line:
            if line == _BAD_REQUEST:
                flags.add(flag.BAD_REQUEST)
                return _NO_REQUEST
            request = parse_request_line(line)
            if not request.is_whole:
                flags.add(flag.TRUNCATED)
                query = request.query
                if query and "=" in query:  # half a credential has no shape to be known by
                    return request._replace(query=query[: query.rindex("=") + 1])
            return request
        method = _text(values.get("HM"))
        target = next(
            (text for name in ("HU", "HP", "HPO") if (text := values.get(name)) and text != "-"), ""
        )
        if _BAD_REQUEST in {method, target}:
            flags.add(flag.BAD_REQUEST)
            return _NO_REQUEST
        query = values.get("HQ")
        if query and query != "-" and "?" not in target:
            target = f"{target}?{query.removeprefix('?')}"
        version = http_version((values.get("HV") or "").removeprefix("HTTP/"))
        method = unescape(method) if method else None
        return RequestLine(method, *split_target(unescape(target)), http_version=version, is_whole=True)

    def _cleaned(self, text: str | None, flags: set[str]) -> str | None:
        if not text or text == "-":
            return None
        return self._redactor.identifier(self._bounded(text, flags)) or None

    @staticmethod
    def _bounded(text: str, flags: set[str]) -> str:
        if len(text) > LONGEST_FIELD:
            flags.add(flag.TRUNCATED)
            text = text[:LONGEST_FIELD]
        if has_control(text):
            flags.add(flag.CONTROL_CHARS)
        return text


def _text(text: str | None, most: int = LONGEST_FIELD) -> str | None:
    return None if not text or text == "-" else text[:most] if len(text) > most else text
