"""Kong's http-log entries: bytes of one entry in, a gateway record or an event out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.kept_headers import KeptHeaders
from pipeline.formats.kong_entry import NO_NAME, Entry
from pipeline.formats.kong_lenient import bound, decode_leniently
from pipeline.formats.kong_record import RecordBuilder
from pipeline.formats.kong_split import split_body
from pipeline.formats.kong_values import ms_to_us
from pipeline.formats.lenient_json import REFUSED
from pipeline.formats.redact import Redactor
from pipeline.formats.text import LONGEST_FIELD
from pipeline.model import EdgeEvent, GatewayRecord

__all__ = ["KongParser", "split_body"]

_decode = msgspec.json.Decoder(Entry).decode


class KongParser:
    """Reads entries of Kong 2.8 to 3.13; what an entry lacks is None, never an error.

    Args:
        redactor: What clients wrote passes through it.
        headers: Further headers to keep, `request.<name>` or `response.<name>`; each entry is read a second
            time for them.
    """

    def __init__(self, *, redactor: Redactor, headers: Sequence[str] = ()) -> None:
        self._redactor = redactor
        self._build = RecordBuilder(redactor).build
        self._kept = KeptHeaders(headers, redactor) if headers else None

    def parse(self, body: bytes, *, offset: int, arrival_ns: int, peer: str) -> GatewayRecord | EdgeEvent:
        """Read one entry.

        Raises:
            MalformedLine: It is not a JSON object, or has neither a request nor a session.
        """
        flags: list[str] = []
        try:
            entry = _decode(body)
        except REFUSED:
            entry = decode_leniently(body, flags)
        if len(body) > LONGEST_FIELD and bound(entry):
            flags.append(flag.TRUNCATED)
        if entry.request is None:
            return self._session(entry, offset=offset, arrival_ns=arrival_ns, peer=peer)
        record = self._build(entry, entry.request, offset, peer, flags)
        if self._kept is None:
            return record
        return msgspec.structs.replace(record, headers=self._kept.read(body))

    def _session(self, entry: Entry, *, offset: int, arrival_ns: int, peer: str) -> EdgeEvent:
        session = bytes(entry.session)
        if not session:
            raise MalformedLine("not_an_entry", "neither request nor session")
        name = (entry.service or NO_NAME).name or (entry.route or NO_NAME).name
        return EdgeEvent(
            offset=offset,
            arrival_ns=arrival_ns,
            time_us=ms_to_us(entry.started_at),
            kind="stream_session",
            node=peer or None,
            proxy=name,
            client_ip=self._redactor.address(entry.client_ip),
            text=self._redactor.text(session)[:4096],
        )
