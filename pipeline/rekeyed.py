"""Reads the copies that join processes make of each other's lone halves, beside ordinary records."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.bus.kafka.positions import is_rekeyed
from pipeline.engine.draft import Draft, ParseStage
from pipeline.formats.sealed import Unsealer
from pipeline.model import Delivery, EdgeRecord, GatewayRecord
from pipeline.parsers import Parsers


class StageWithCopies(ParseStage):
    """A stage that takes sealed records for what they are only where the bus says that they are copies.

    Args:
        parsers: What reads raw records.
    """

    def __init__(self, parsers: Parsers) -> None:
        super().__init__(
            Unsealer(parsers.haproxy), Unsealer(parsers.kong), parsers.redactor, parsers.originals
        )
        self._ordinary = parsers.stage()

    def parse(
        self, delivery: Delivery, add: Callable[[EdgeRecord | GatewayRecord, int], None], draft: Draft
    ) -> None:
        """Read a delivery as what it is; see `ParseStage.parse`."""
        if is_rekeyed(delivery.offset):
            super().parse(delivery, add, draft)
        else:
            self._ordinary.parse(delivery, add, draft)
