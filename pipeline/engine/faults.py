"""What is done about exceptions that nobody foresaw: said once where, counted always, and nobody else harmed."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from pipeline.errors import RetryableError

_log = logging.getLogger(__name__)

REASON = "internal_error"
"""Of the dead letters: our own code failed on the record, or on one that it belongs to."""

NOT_THE_RECORDS = (RetryableError, OSError, MemoryError)
"""What says nothing of the records at hand: the store, the disk, the machine. It passes on."""


class Faults:
    """Remembers which faults it has told of; the places in our code that can fail are few."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, doing: str, error: Exception) -> str:
        """Log a fault with the way to it, the first time that it happens there.

        Neither values nor the exception's own words are logged: they may hold what a client wrote.

        Returns:
            The kind of the exception and where in our code it was raised.
        """
        frames = traceback.extract_tb(error.__traceback__)
        where = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        place = type(error).__name__ + where
        if place not in self._told:
            self._told.add(place)
            way = "".join(traceback.format_list(frames))
            _log.error("%s failed, the records are kept as dead letters: %s\n%s", doing, place, way)
        return place
