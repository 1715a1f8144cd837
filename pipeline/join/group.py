"""Records that belong together as far as their ids tell, on their way from the joiner to the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from pipeline.contracts import LookupKey
from pipeline.join.bucket import bucket_of_edge, bucket_of_gateway
from pipeline.join.ids import joinable
from pipeline.model import EdgeRecord, GatewayRecord, Source

Closed = Literal["complete", "window", "evicted", "pending"]
"""Why a group waits no longer: all that was expected has come, its time is over, or memory or bus is full.
`pending`: it still waits, and is shown as it is by now."""


class Group(msgspec.Struct, gc=False):
    """Records that share an id; each once, with the copies' offsets beside them."""

    edges: list[EdgeRecord]
    attempts: list[GatewayRecord]
    closed: Closed
    look_up: bool
    """Whether this process may have stored a part of it already, so that the store must be asked."""
    crowded: bool = False
    """So many records carry its request id that the id is a constant: key B alone joins here."""
    copies: Sequence[tuple[Source, int]] = ()
    """Source and offset of every further copy of these records."""

    @property
    def records(self) -> tuple[EdgeRecord | GatewayRecord, ...]:
        """Its records, each once."""
        return (*self.edges, *self.attempts)

    def lookup_key(self) -> LookupKey:
        """Give what the store is asked for: the ids that may be unique, else the records' own names."""
        gateway_ids = {edge.gateway_request_id for edge in self.edges}
        gateway_ids.update(attempt.gateway_request_id for attempt in self.attempts)
        gateway_ids.discard(None)
        request_ids: list[str] = []
        if not self.crowded:
            request_ids = [edge.request_id for edge in self.edges]
            for attempt in self.attempts:
                request_ids += attempt.request_ids
            request_ids = joinable(request_ids)
        rec_ids: tuple[int, ...] = ()
        if not request_ids:
            rec_ids = (
                *(edge.rec_id for edge in self.edges if not edge.gateway_request_id),
                *(attempt.attempt_id for attempt in self.attempts if not attempt.gateway_request_id),
            )
        return LookupKey(self.bucket_s(), tuple(request_ids), tuple(filter(None, gateway_ids)), rec_ids)

    def bucket_s(self) -> int:
        """Give where its rows have their place, UTC epoch seconds."""
        if self.edges:
            return bucket_of_edge(self.edges[0]).second
        first = self.attempts[0]
        return bucket_of_gateway(first, first.request_ids[-1] if first.request_ids else "").second
