"""What the engine has done, in counters that status, metrics and the replay's report read.

Written by the engine's thread alone; a reader of another thread sees each number whole.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.engine.lateness import Lateness


@dataclass(slots=True)
class Progress:
    """Counts since the process began; the account that survives it is the bus's."""

    records_read: int = 0
    lineages_written: Counter[str] = field(default_factory=Counter)
    """Rows by outcome; a row written again after a late half counts again."""
    tombstones_written: int = 0
    batches_written: int = 0
    looked_up: int = 0
    """Groups of which the store was asked whether it holds a part."""
    late: int = 0
    """Groups united with a stored row."""
    evicted: int = 0
    write_errors: int = 0
    last_write_ns: int = 0
    last_arrival_ns: int = 0
    """Arrival stamp of the newest record read."""
    lateness: Lateness = field(default_factory=Lateness)
    caught_up: bool = True
    """Whether the bus had nothing more at the last read."""
    first_bucket_s: int | None = None
    last_bucket_s: int | None = None
    """Range of the buckets written or found in the store, UTC epoch seconds."""

    def cover(self, bucket_s: int) -> None:
        """Widen the range of buckets."""
        if self.first_bucket_s is None or bucket_s < self.first_bucket_s:
            self.first_bucket_s = bucket_s
        if self.last_bucket_s is None or bucket_s > self.last_bucket_s:
            self.last_bucket_s = bucket_s
