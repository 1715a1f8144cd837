"""What is gathered for the next batch, and how raw records become part of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.errors import MalformedLine
from pipeline.formats.dead_letter import to_dead_letter
from pipeline.formats.redact import Redactor
from pipeline.join.group import Group
from pipeline.model import DeadLetter, Delivery, EdgeEvent, EdgeRecord, GatewayRecord, Source

_log = logging.getLogger(__name__)


class _Parser(Protocol):
    def parse(
        self, body: bytes, *, offset: int, arrival_ns: int, peer: str
    ) -> EdgeRecord | GatewayRecord | EdgeEvent: ...


@dataclass(slots=True)
class Draft:
    """A batch in the making."""

    born_ns: int
    groups: list[Group] = field(default_factory=list)
    events: list[EdgeEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """About how many rows it will be."""
        return len(self.groups) + len(self.events) + len(self.dead_letters)


class ParseStage:
    """Reads each record of a delivery by the format of its source."""

    def __init__(self, haproxy: _Parser, kong: _Parser, redactor: Redactor) -> None:
        self._parsers: dict[Source, _Parser] = {Source.HAPROXY: haproxy, Source.KONG: kong}
        self._redactor = redactor

    def parse(
        self, delivery: Delivery, add: Callable[[EdgeRecord | GatewayRecord, int], None], draft: Draft
    ) -> None:
        """Hand every request of a delivery to `add`, and put what is not one into the draft.

        Never raises for what a record contains: bytes that a parser does not understand, or that it
        stumbles over, become a dead letter with their reason.
        """
        parse = self._parsers[delivery.source].parse
        arrival_ns, peer = delivery.arrival_ns, delivery.peer
        for offset, body in enumerate(delivery.bodies, delivery.offset):
            try:
                record = parse(body, offset=offset, arrival_ns=arrival_ns, peer=peer)
            except MalformedLine as error:
                draft.dead_letters.append(self._dead(delivery, offset, body, error))
            except Exception as error:  # noqa: BLE001 -- a hostile record may not stop its neighbours
                _log.exception("the %s parser failed on the record at offset %d", delivery.source, offset)
                fault = MalformedLine("parser_error", type(error).__name__)
                draft.dead_letters.append(self._dead(delivery, offset, body, fault))
            else:
                if type(record) is EdgeEvent:
                    draft.events.append(record)
                else:
                    add(record, arrival_ns)  # type: ignore[arg-type] # `type() is` narrows one branch only

    def _dead(self, delivery: Delivery, offset: int, body: bytes, error: MalformedLine) -> DeadLetter:
        return to_dead_letter(
            body,
            offset=offset,
            source=delivery.source,
            arrival_ns=delivery.arrival_ns,
            peer=delivery.peer,
            error=error,
            redactor=self._redactor,
        )
