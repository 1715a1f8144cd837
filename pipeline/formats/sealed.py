"""Records that were redacted before the bus (`redact_at: ingest`), for those who share one with others.

What goes onto the bus then is what the store would keep, and nothing else: a record, an event or a dead letter,
under a name that no client can write at the beginning of a line. Reading one gives the same record back.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats.dead_letter import KeepsOriginals, to_dead_letter
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser
from pipeline.formats.redact import Redactor
from pipeline.model import DeadLetter, EdgeEvent, EdgeRecord, GatewayRecord, Source

_START = b'{"hoptrail":1,'
Record = EdgeRecord | GatewayRecord | EdgeEvent


class _Sealed(msgspec.Struct, gc=False):
    """What is written: one of four."""

    hoptrail: int
    edge: EdgeRecord | None = None
    gateway: GatewayRecord | None = None
    event: EdgeEvent | None = None
    dead: DeadLetter | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Sealed).decode


class SealedLetter(MalformedLine):
    """A record that was found dead before it came onto the bus; its letter is written already."""

    def __init__(self, letter: DeadLetter) -> None:
        super().__init__(letter.reason, letter.detail.removeprefix(f"{letter.reason}: "))
        self.letter = letter


class _Parser(Protocol):
    def parse(self, body: bytes, *, offset: int, arrival_ns: int, peer: str) -> Record: ...


class Sealer:
    """Redacts raw records before the bus."""

    def __init__(
        self,
        haproxy: HaproxyParser,
        kong: KongParser,
        redactor: Redactor,
        originals: KeepsOriginals | None = None,
    ) -> None:
        self._parsers: dict[Source, _Parser] = {Source.HAPROXY: haproxy, Source.KONG: kong}
        self._redactor = redactor
        self._originals = originals

    def seal(self, source: Source, body: bytes, *, arrival_ns: int, peer: str) -> bytes:
        """Give what may lie on a shared bus in the place of a raw record. Never raises; sealing twice is once."""
        if body.startswith(_START):
            return body
        try:
            record = self._parsers[source].parse(body, offset=0, arrival_ns=arrival_ns, peer=peer)
        except Exception as error:  # noqa: BLE001 -- a hostile record may not stop its neighbours
            fault = (
                error
                if isinstance(error, MalformedLine)
                else MalformedLine("parser_error", type(error).__name__)
            )
            letter = to_dead_letter(
                body,
                offset=0,
                source=source,
                arrival_ns=arrival_ns,
                peer=peer,
                error=fault,
                redactor=self._redactor,
                originals=self._originals,
            )
            return _written("dead", letter)
        if isinstance(record, EdgeRecord):
            return _written("edge", record)
        return _written("gateway" if isinstance(record, GatewayRecord) else "event", record)


class Unsealer:
    """Reads sealed records, and leaves all others to a parser.

    Args:
        parser: Of the same source.
    """

    def __init__(self, parser: _Parser) -> None:
        self._parser = parser

    def parse(self, body: bytes, *, offset: int, arrival_ns: int, peer: str) -> Record:
        """Read a record.

        Raises:
            SealedLetter: It was dead before it came onto the bus.
            MalformedLine: It is not a record of this source.
        """
        if not body.startswith(_START):
            return self._parser.parse(body, offset=offset, arrival_ns=arrival_ns, peer=peer)
        try:
            sealed = _decode(body)
        except msgspec.DecodeError as error:
            raise MalformedLine("not_json", "a sealed record that is damaged") from error
        if sealed.dead is not None:
            letter = msgspec.structs.replace(sealed.dead, offset=offset, arrival_ns=arrival_ns)
            raise SealedLetter(letter)
        if sealed.event is not None:
            return msgspec.structs.replace(sealed.event, offset=offset, arrival_ns=arrival_ns)
        record = sealed.edge or sealed.gateway
        if record is None:
            raise MalformedLine("not_json", "a sealed record that is empty")
        return msgspec.structs.replace(record, offset=offset)


def seal_record(record: EdgeRecord | GatewayRecord) -> bytes:
    """Write a record that has been read, so that `Unsealer` gives it back."""
    return _written("edge" if isinstance(record, EdgeRecord) else "gateway", record)


def _written(kind: str, value: Record | DeadLetter) -> bytes:
    return b'%b"%b":%b}' % (_START, kind.encode(), _encode(value))
