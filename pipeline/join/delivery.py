"""Which attempt's answer the client got."""

from __future__ import annotations

from pipeline.model import EdgeRecord, GatewayRecord


def delivered_of(edge: EdgeRecord, attempts: tuple[GatewayRecord, ...]) -> int | None:
    """Find the delivered attempt: by the id that the edge captured, else by evidence.

    Without a captured id it is the last attempt with the status that the client got; where the edge did not
    retry, the first, since further ones are calls of the gateway to itself. An edge that made its own answer
    (`sH` 504, `SH` and `PH` 502) delivered none. A client that left may have got part of the only one.

    Returns:
        Index into `attempts`, or None where no attempt's answer is known to have been delivered.
    """
    if not attempts:
        return None
    captured = edge.gateway_request_id
    if captured is not None:
        for index, attempt in enumerate(attempts):
            if attempt.gateway_request_id == captured:
                return index
        return None
    if ((edge.termination or "") + "--")[1] in "HC":
        return None
    indexes = range(len(attempts))
    for index in reversed(indexes) if edge.retries else indexes:
        if attempts[index].status == edge.status:
            return index
    return 0 if len(attempts) == 1 and edge.status is not None else None
