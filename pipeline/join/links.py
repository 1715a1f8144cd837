"""Which stored rows belong to a group: looking up by ids finds more, since a client may claim any of them."""

from __future__ import annotations

from pipeline.join.group import Group
from pipeline.join.ids import can_be_joined_on
from pipeline.model import GatewayRecord, Lineage


class Links:
    """What ties a row to a group.

    An edge record and an attempt by key A or B, two edge records by their request id, two attempts without
    an edge record by the id that the edge would have added, and every record to its own copy.
    """

    def __init__(self, group: Group) -> None:
        edges, attempts = group.edges, group.attempts
        self._copies = {edge.rec_id for edge in edges} | {attempt.attempt_id for attempt in attempts}
        self._captured = {edge.gateway_request_id for edge in edges} - {None}
        self._gateway_ids = {attempt.gateway_request_id for attempt in attempts} - {None}
        self._edge_ids: set[str] = set()
        self._candidates: set[str] = set()
        self._last_ids: set[str] = set()
        if not group.crowded:
            self._edge_ids = {edge.request_id for edge in edges if can_be_joined_on(edge.request_id)}
            for attempt in attempts:
                self._candidates.update(filter(can_be_joined_on, attempt.request_ids))
            self._last_ids = {last_id(attempt) for attempt in attempts} - {""}

    def tie(self, row: Lineage) -> bool:
        """Whether a row holds a record of the same request, as far as ids tell."""
        edge = row.edge
        if edge is not None:
            if edge.rec_id in self._copies or edge.gateway_request_id in self._gateway_ids:
                return True
            if edge.request_id in self._edge_ids or edge.request_id in self._candidates:
                return True
        return any(self._ties_attempt(attempt, is_orphan=edge is None) for attempt in row.attempts)

    def _ties_attempt(self, attempt: GatewayRecord, *, is_orphan: bool) -> bool:
        return (
            attempt.attempt_id in self._copies
            or attempt.gateway_request_id in self._captured
            or not self._edge_ids.isdisjoint(attempt.request_ids)
            or (is_orphan and last_id(attempt) in self._last_ids)
        )


def last_id(attempt: GatewayRecord) -> str:
    """Give the id that the edge appended, as far as one can tell; empty where it is none to join on."""
    if attempt.request_ids and can_be_joined_on(attempt.request_ids[-1]):
        return attempt.request_ids[-1]
    return ""
