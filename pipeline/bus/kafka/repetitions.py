"""What clients say again and again while brokers are away: said once, then twice a minute with how often it was.

aiokafka writes some forty lines a second for each client that finds no broker, which in an hour hides everything else.
"""

from __future__ import annotations

import logging

from pipeline.clock import Clock

_QUIET_NS = 30 * 10**9
_MOST_KINDS = 1000
_LOUD = ("aiokafka", "pipeline.bus.kafka")


class Repetitions(logging.Filter):
    """A filter of a handler: of each kind of line (logger, level, wording) it lets one through every half minute.

    Args:
        clock: Says what the time is.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], tuple[int, int]] = {}
        """When each kind was last let through, and how often it was not since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is written; called by logging, under the handler's lock or not."""
        if not record.name.startswith(_LOUD) or record.levelno < logging.WARNING:
            return True
        kind, now_ns = (record.name, record.levelno, str(record.msg)), self._clock.now_ns()
        last_ns, hidden = self._kinds.get(kind, (now_ns - _QUIET_NS, 0))
        if now_ns - last_ns < _QUIET_NS:
            self._kinds[kind] = last_ns, hidden + 1
            return False
        if len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        self._kinds[kind] = now_ns, 0
        if hidden:
            record.msg, record.args = f"{record.getMessage()} (and {hidden} more such lines before)", ()
        return True
