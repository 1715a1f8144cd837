"""From the items of a log-format to an edge record; shared by every text format.

An item is named by its alias (`ci`, `tr`, `TR`, `ST`, …, manual 8.2.6) or, for what only expressions give,
by a word of `log_format.EXPRESSIONS`. Values are as logged; `-` is "none".
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.envelope import Envelope
from pipeline.formats.redact import Redactor
from pipeline.formats.request_line import RequestLine, http_version, parse_request_line
from pipeline.formats.text import LONGEST_FIELD, has_control, identity_hash, whole_number
from pipeline.formats.times import Dates, epoch_us
from pipeline.model import EdgeRecord, Timers

_TIMERS = ("TR", "Tw", "Tc", "Tr", "Td", "Ta", "Th", "Ti")
_NO_REQUEST = RequestLine(None, None, None, None, None, None, is_whole=True)
_BAD_REQUEST = "<BADREQ>"


class EdgeBuilder:
    """Makes edge records of items."""

    def __init__(self, redactor: Redactor, dates: Dates) -> None:
        self._redactor = redactor
        self._dates = dates

    def build(
        self, items: Mapping[str, str | None], envelope: Envelope, *, offset: int, peer: str, flags: set[str]
    ) -> EdgeRecord:
        """Build a record.

        Raises:
            MalformedLine: The items hold no date at all, so that it is no log line of a request.
        """
        timers = Timers(*(whole_number(items.get(name)) for name in _TIMERS))
        start_us = self._start_us(items, timers, envelope)
        if start_us is None:
            raise MalformedLine("no_date", "none of %t, %tr, %Ts, %trg or a header with a zone")
        request = self._request(items, flags)
        client_ip, client_port = _client(items)
        value = _Values(items)
        retries = items.get("rc") or ""
        ta = items.get("Ta") or ""
        if ta.startswith("+"):
            flags.add(flag.LOG_ASAP)
        frontend = value("ft") or value("f")
        is_tls = (frontend or "").endswith("~")
        return EdgeRecord(
            rec_id=self._rec_id(items),
            offset=offset,
            request_id=value("ID") or "",
            start_us=start_us,
            gateway_request_id=value("kong_rid"),
            traceparent=value("traceparent"),
            request_start_us=_time(value("req_us")),
            end_us=_time(value("end_us")),
            node=value("H") or envelope.node or peer or None,
            pid=whole_number(value("pid")) or envelope.pid,
            log_counter=whole_number(value("lc")),
            frontend=frontend.removesuffix("~") if frontend else None,
            backend=value("b"),
            server=None if items.get("s") == "<NOSRV>" else value("s"),
            server_ip=value("si"),
            server_port=whole_number(value("sp")),
            client_ip=client_ip,
            client_port=client_port,
            timers=timers,
            status=whole_number(items.get("ST")) or None,
            termination=value("tsc") or items.get("tsc") or items.get("ts"),
            retries=whole_number(retries) or 0,
            redispatched=retries.startswith("+"),
            request_bytes=whole_number(items.get("U")),
            response_bytes=whole_number(items.get("B")),
            method=request.method,
            scheme=request.scheme or ("https" if is_tls or value("sslv") else "http"),
            host=self._bounded(value("host") or request.host, flags),
            path=self._bounded(request.path, flags),
            query=self._redactor.query(self._bounded(request.query, flags) or "") or None,
            http_version=request.http_version,
            user_agent=self._bounded(value("user_agent"), flags),
            tls_version=value("sslv"),
            tls_cipher=value("sslc"),
            tls_sni=value("sni"),
            tls_client_verify=value("client_verify"),
            tls_client_dn=value("client_dn"),
            claimed_request_id=self._bounded(value("claimed_request_id"), flags),
            claimed_traceparent=self._bounded(value("claimed_traceparent"), flags),
            pool=value("pool"),
            error=value("error"),
            flags=tuple(sorted(flags)),
        )

    def _start_us(self, items: Mapping[str, str | None], timers: Timers, envelope: Envelope) -> int | None:
        """Find the first byte's date: `%tr`, else accept + Th + Ti (manual 8.4), else from the header."""
        for name in ("tr", "trg", "trl"):
            if (text := items.get(name)) and (start_us := self._dates.local_us(text)) is not None:
                return start_us
        accept_us = epoch_us(f"{items['Ts']}.{items.get('ms') or '0'}") if items.get("Ts") else None
        for name in ("t", "T", "Tl"):
            if accept_us is None and (text := items.get(name)):
                accept_us = self._dates.local_us(text)
        if accept_us is not None:
            return accept_us + ((timers.Th or 0) + (timers.Ti or 0)) * 1000
        if envelope.time_us is not None:
            return envelope.time_us - (timers.Ta or 0) * 1000
        return None

    def _request(self, items: Mapping[str, str | None], flags: set[str]) -> RequestLine:
        line = items.get("r")
        if line:
            if line == _BAD_REQUEST:
                flags.add(flag.BAD_REQUEST)
                return _NO_REQUEST
            request = parse_request_line(line)
            if not request.is_whole:
                flags.add(flag.TRUNCATED)
            return request
        target = items.get("HU") or (items.get("HP") or items.get("HPO") or "") + (items.get("HQ") or "")
        if items.get("HM") == _BAD_REQUEST or target == _BAD_REQUEST:
            flags.add(flag.BAD_REQUEST)
            return _NO_REQUEST
        request = parse_request_line(f"{items.get('HM') or ''} {target}")
        return request._replace(http_version=http_version((items.get("HV") or "").removeprefix("HTTP/")))

    def _bounded(self, text: str | None, flags: set[str]) -> str | None:
        if text is None:
            return None
        if len(text) > LONGEST_FIELD:
            flags.add(flag.TRUNCATED)
            text = text[:LONGEST_FIELD]
        if has_control(text):
            flags.add(flag.CONTROL_CHARS)
        return text

    @staticmethod
    def _rec_id(items: Mapping[str, str | None]) -> int:
        names = ("ID", "H", "pid", "rt", "ci", "cp", "tr", "t", "T", "Ts", "ms", "trg")
        return identity_hash(*(items.get(name) or "" for name in names))


class _Values:
    """Items with `-` read as None."""

    def __init__(self, items: Mapping[str, str | None]) -> None:
        self._items = items

    def __call__(self, name: str) -> str | None:
        text = self._items.get(name)
        return None if not text or text == "-" else text


def _client(items: Mapping[str, str | None]) -> tuple[str | None, int | None]:
    address, port = items.get("ci"), whole_number(items.get("cp"))
    if not address or address in {"-", "unix"}:
        return None, None
    return address, port


def _time(text: str | None) -> int | None:
    number = whole_number(text)
    return number if number and number < 1 << 53 else None
