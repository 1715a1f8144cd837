"""One partition of the span topic: what waits, and what became of the rest, as the text beside the offset.  PURE.

What is committed is the offset up to which every message has been answered for, and beside it, as text, what became
of the spans before it: both change in one record of the broker's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping

import msgspec

from pipeline.bus.kafka.span_messages import Waiting
from pipeline.spans.waiting import DROPPED, TOO_OLD, Fate, SpanAccount

_VERSION = 1


class _Text(msgspec.Struct):
    v: int
    f: list[tuple[str, str, int]]
    gone: int = 0


class Kept(msgspec.Struct, frozen=True):
    """What is committed beside an offset of the span topic."""

    fates: Mapping[Fate, int] = {}
    """What became of the spans before it."""
    gone: int = 0
    """Messages that were gone before anybody had read them."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Text).decode


def write_text(kept: Kept) -> str:
    """Write what is committed beside an offset; reasons are a closed set, so that it stays short."""
    lines = [(*fate, spans) for fate, spans in kept.fates.items() if spans]
    return _encode(_Text(_VERSION, lines, kept.gone)).decode()


def read_text(text: str) -> Kept:
    """Read it back.

    Raises:
        ValueError: It is not such a text.
    """
    if not text:
        return Kept()
    try:
        found = _decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError("what is committed beside the offset is no account of spans") from error
    if found.v != _VERSION:
        raise ValueError(f"an account of version {found.v}; this program reads version {_VERSION}")
    return Kept({(kind, reason): spans for kind, reason, spans in found.f}, found.gone)


class SpanPartition:
    """One partition of the span topic, as whoever has it knows it.

    Args:
        first: The offset that reading begins at.
        committed: What is committed; -1: nothing.
        kept: What is committed beside it.
    """

    def __init__(self, first: int, committed: int, kept: Kept) -> None:
        self.next = first
        """The offset after the last message that was answered for."""
        self.end = first
        """The offset after the last message that was read."""
        self.waiting: deque[Waiting] = deque()
        self.spans = self.bytes = 0
        """Of the messages that wait."""
        self.committed, self.kept = committed, kept
        self._fates = Counter(kept.fates)
        self._gone = kept.gone + (max(0, first - committed) if committed >= 0 else 0)

    def take(self, offset: int, message: Waiting | None) -> None:
        """Take a message in, unless it was there before; None is one that is not ours, and is passed."""
        if offset < self.end:
            return
        waiting = message or Waiting(offset, 0, b"", 0, {})
        waiting.gone = offset - self.end
        self.end = offset + 1
        self.waiting.append(waiting)
        self.spans += waiting.spans
        self.bytes += len(waiting.body)

    def pass_what_is_not_sent(self, oldest_ms: int) -> int:
        """Pass messages at the head that are not to be sent; gives the spans of those written before `oldest_ms`."""
        too_old = 0
        while self.waiting:
            head = self.waiting[0]
            if head.body and head.written_ms >= oldest_ms:
                break
            if head.body:
                too_old += head.spans
            self.pass_head({(DROPPED, TOO_OLD): head.spans} if head.body else {})
        return too_old

    def pass_head(self, fates: Mapping[Fate, int]) -> None:
        """Pass the first message that waits, and count what became of its spans."""
        head = self.waiting.popleft()
        self.spans -= head.spans
        self.bytes -= len(head.body)
        self.next = head.offset + 1
        self._gone += head.gone
        self._fates.update(fates)
        for reason, spans in head.lost.items():
            self._fates[DROPPED, reason] += spans

    def state(self) -> Kept:
        """Give what is to be committed beside `next`."""
        return Kept(dict(self._fates), self._gone)

    @property
    def is_behind(self) -> bool:
        """Whether there is something to commit."""
        return self.next > max(self.committed, 0)

    def account(self, *, committed: bool = False) -> SpanAccount:
        """Give the account; `committed`: as of the last commit, what was answered for since counts as queued."""
        fates = dict(self.kept.fates if committed else self._fates)
        queued = self.spans + sum(self._fates.values()) - sum(fates.values())
        return SpanAccount(fates, queued, self.bytes)

    @property
    def gone(self) -> int:
        """Messages that were gone before anybody had read them, up to `next`."""
        return self._gone
