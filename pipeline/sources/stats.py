"""What the listeners know of what came in, for status and metrics.

Each listener has a `ListenerStats` of its own, and one thread that writes it; readers of other threads see
each number whole. The account of records is the bus's: what is refused here never entered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.model import Source


@dataclass(slots=True)
class ListenerStats:
    """Counts of one listener since it began."""

    name: str
    """`syslog_udp`, `syslog_tcp`, `syslog_unix` or `http_log`."""
    source: Source
    records: int = 0
    """Records handed to the bus; what the bus had no room for is in its account."""
    last_arrival_ns: int = 0
    """When the last of them came, UTC epoch nanoseconds; 0 before the first."""
    refused: Counter[str] = field(default_factory=Counter)
    """What was turned away before any record was read, by reason: connections, or posts."""
    buffer_asked: int = 0
    """Bytes of kernel buffer asked for; 0 where none is."""
    buffer_granted: int = 0
    """Bytes of kernel buffer in force."""

    def took(self, records: int, arrival_ns: int) -> None:
        """Count records that came together."""
        self.records += records
        self.last_arrival_ns = arrival_ns


class SourceStats:
    """The listeners of a process."""

    def __init__(self) -> None:
        self.listeners: dict[str, ListenerStats] = {}
        """By name; filled as listeners start."""
        self.last_arrivals_ns: Mapping[Source, int] = _LastArrivals(self.listeners)
        """When each source last sent something, live; a source that never did is absent."""

    def listener(self, name: str, source: Source) -> ListenerStats:
        """Give the numbers of a listener, made when first asked for."""
        return self.listeners.setdefault(name, ListenerStats(name, source))

    def document(self) -> dict[str, dict[str, Any]]:
        """Give, by listener, records taken, what was refused by reason, and the kernel buffer in bytes."""
        return {
            name: {
                "records": stats.records,
                "refused": dict(stats.refused),
                "buffer_asked": stats.buffer_asked,
                "buffer_granted": stats.buffer_granted,
            }
            for name, stats in list(self.listeners.items())
        }


class _LastArrivals(Mapping[Source, int]):
    """The latest arrival of each source over its listeners, looked up when asked."""

    def __init__(self, listeners: Mapping[str, ListenerStats]) -> None:
        self._listeners = listeners

    def _now(self) -> dict[Source, int]:
        latest: dict[Source, int] = {}
        for stats in list(self._listeners.values()):
            if stats.last_arrival_ns:
                latest[stats.source] = max(latest.get(stats.source, 0), stats.last_arrival_ns)
        return latest

    def __getitem__(self, source: Source) -> int:
        return self._now()[source]

    def __iter__(self) -> Iterator[Source]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())
