"""Messages of several partitions that go to the receiver in one request.  PURE.

Export requests laid end to end are one: each request's spans stay together, the root first.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from pipeline.bus.kafka.span_partition import SpanPartition
from pipeline.spans import Frame
from pipeline.spans.waiting import DROPPED, Fate

_Name = TypeVar("_Name", bound=Hashable)


class Share(NamedTuple):
    """A partition's part of a request."""

    partition: SpanPartition
    spans: list[int]
    """Of each message, from the head of the partition on."""


def put_together(
    partitions: Mapping[_Name, SpanPartition], most_bytes: int
) -> tuple[Frame, dict[_Name, Share]] | None:
    """Put messages from the heads of partitions together, the oldest first; None where nothing waits.

    Args:
        partitions: All that there are.
        most_bytes: Of a request; a message that is larger goes alone.
    """
    shares: dict[_Name, Share] = {}
    bodies: list[bytes] = []
    size = spans = 0
    queues = {name: iter(partition.waiting) for name, partition in partitions.items()}
    heads = {name: head for name, queue in queues.items() if (head := next(queue, None)) is not None}
    while heads:
        name = min(heads, key=lambda one: heads[one].written_ms)
        message = heads[name]
        if size and size + len(message.body) > most_bytes:
            break
        shares.setdefault(name, Share(partitions[name], [])).spans.append(message.spans)
        bodies.append(message.body)
        size, spans = size + len(message.body), spans + message.spans
        following = next(queues[name], None)
        if following is None:
            del heads[name]
        else:
            heads[name] = following
    return (Frame(b"".join(bodies), spans), shares) if spans else None


def spread(fates: Mapping[Fate, int], parts: Sequence[int]) -> Iterable[dict[Fate, int]]:
    """Share out what became of the spans of several messages that went in one request.

    Args:
        fates: They sum to the sum of `parts`.
        parts: Spans of each message. Which of them a receiver rejected it does not say: the first are.
    """
    left = dict(sorted(fates.items(), key=lambda one: one[0][0] != DROPPED))
    for spans in parts:
        share: dict[Fate, int] = {}
        for fate, still in left.items():
            if taken := min(spans - sum(share.values()), still):
                share[fate] = taken
                left[fate] -= taken
        yield share
