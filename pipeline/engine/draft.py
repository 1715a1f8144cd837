"""What is gathered for the next batch, and how raw records become part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.contracts import Packed
from pipeline.engine.faults import NOT_THE_RECORDS, Faults
from pipeline.engine.faults import REASON as INTERNAL_ERROR
from pipeline.errors import MalformedLine
from pipeline.formats.dead_letter import KeepsOriginals, to_dead_letter
from pipeline.formats.redact import Redactor
from pipeline.join.group import Group
from pipeline.model import DeadLetter, Delivery, EdgeEvent, EdgeRecord, GatewayRecord, Outcome, Source


class _Parser(Protocol):
    def parse(
        self, body: bytes, *, offset: int, arrival_ns: int, peer: str
    ) -> EdgeRecord | GatewayRecord | EdgeEvent: ...


@dataclass(slots=True)
class Draft:
    """A batch in the making."""

    born_ns: int
    groups: list[Group] = field(default_factory=list)
    """Groups that are settled when the batch is written."""
    packed: list[Packed] = field(default_factory=list)
    """Rows of groups that were settled when they closed."""
    outcomes: list[tuple[int, Outcome]] = field(default_factory=list)
    """Of the records in them."""
    written: Counter[str] = field(default_factory=Counter)
    """Outcomes of those rows."""
    broken: list[tuple[Group, str]] = field(default_factory=list)
    """Groups that cannot be settled, and why; their records are to be dead letters."""
    shown: list[Group] = field(default_factory=list)
    """Groups that still wait, to be shown as they are; no record leaves by that."""
    events: list[EdgeEvent] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    bytes: int = 0
    """Of packed rows and of dead letters: large ones are not to fill the memory."""

    @property
    def rows(self) -> int:
        """About how many rows it will be."""
        letters = len(self.broken) + len(self.dead_letters)
        return self.written.total() + len(self.groups) + letters + len(self.events)

    def take(self, packed: Packed) -> None:
        """Take rows in that were settled."""
        self.packed.append(packed)
        self.bytes += packed.size

    def bury(self, letter: DeadLetter) -> None:
        """Take a dead letter in."""
        self.dead_letters.append(letter)
        self.bytes += len(letter.original) + len(letter.body)


class ParseStage:
    """Reads each record of a delivery by the format of its source."""

    def __init__(
        self, haproxy: _Parser, kong: _Parser, redactor: Redactor, originals: KeepsOriginals | None = None
    ) -> None:
        self._parsers: dict[Source, _Parser] = {Source.HAPROXY: haproxy, Source.KONG: kong}
        self._redactor = redactor
        self._originals = originals
        self._faults = Faults()
        self._newest: tuple[object, int] | None = None

    def parse(
        self, delivery: Delivery, add: Callable[[EdgeRecord | GatewayRecord, int], None], draft: Draft
    ) -> None:
        """Hand every request of a delivery to `add`, and put what is not one into the draft.

        Never raises for what a record contains: bytes that a parser does not understand, or that it
        stumbles over, become a dead letter with their reason; so does a record that `add` stumbles over.
        """
        parse = self._parsers[delivery.source].parse
        arrival_ns, peer = delivery.arrival_ns, delivery.peer
        record: object = None
        for offset, body in enumerate(delivery.bodies, delivery.offset):
            try:
                record = parse(body, offset=offset, arrival_ns=arrival_ns, peer=peer)
            except MalformedLine as error:
                draft.bury(self._dead(delivery, offset, body, error))
            except Exception as error:  # noqa: BLE001 -- a hostile record may not stop its neighbours
                place = self._faults.tell(f"parsing {delivery.source}", error)
                fault = MalformedLine("parser_error", place)
                draft.bury(self._dead(delivery, offset, body, fault))
            else:
                if type(record) is EdgeEvent:
                    draft.events.append(record)
                else:
                    try:
                        add(record, arrival_ns)  # type: ignore[arg-type] # `type() is` narrows one branch only
                    except NOT_THE_RECORDS:
                        raise
                    except Exception as error:  # noqa: BLE001 -- a hostile record may not stop its neighbours
                        fault = MalformedLine(INTERNAL_ERROR, self._faults.tell("joining", error))
                        draft.bury(self._dead(delivery, offset, body, fault))

        self._newest = record, arrival_ns

    def take_sample(self) -> tuple[EdgeRecord | GatewayRecord, int] | None:
        """Give one of the newest records and its arrival; None where the newest was no request."""
        newest, self._newest = self._newest, None
        if newest is None or not isinstance(newest[0], EdgeRecord | GatewayRecord):
            return None
        return newest[0], newest[1]

    def _dead(self, delivery: Delivery, offset: int, body: bytes, error: MalformedLine) -> DeadLetter:
        return to_dead_letter(
            body,
            offset=offset,
            source=delivery.source,
            arrival_ns=delivery.arrival_ns,
            peer=delivery.peer,
            error=error,
            redactor=self._redactor,
            originals=self._originals,
        )
