"""What a message of the span topic says.  PURE.

It is an export request as it is to be sent, with the header `spans`: how many it holds. One of another format counts
spans that never got so far, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from pipeline.bus.kafka.packing import Headers
from pipeline.spans import Frame
from pipeline.spans.waiting import BROKER_ERROR, INTERNAL_ERROR, TOO_LARGE

_FRAME, _DROPS = b"hoptrail-spans/1", b"hoptrail-span-drops/1"
_COUNTED = frozenset({BROKER_ERROR, INTERNAL_ERROR, TOO_LARGE})
"""What an engine drops spans for; what others write is `other`, so that reasons stay a closed set."""
_OTHER = "other"
_MOST_DIGITS = 9

_encode_drops = msgspec.msgpack.Encoder().encode
_decode_drops = msgspec.msgpack.Decoder(dict[str, int]).decode


class Waiting(msgspec.Struct, gc=False):
    """A message that was read."""

    offset: int
    spans: int
    body: bytes
    """Empty: there is nothing to send."""
    written_ms: int
    lost: Mapping[str, int]
    """Spans that never got on the topic, by reason."""
    gone: int = 0
    """Messages before it that were gone before anybody had read them."""


def pack_frame(frame: Frame) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Give value and headers of a message that is to be sent."""
    return frame.body, [("format", _FRAME), ("spans", b"%d" % frame.spans)]


def pack_span_drops(drops: Mapping[str, int]) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Give value and headers of a message that counts spans that were dropped, by reason."""
    return _encode_drops(drops), [("format", _DROPS)]


def unpack(offset: int, value: bytes | None, headers: Headers, timestamp_ms: int) -> Waiting | None:
    """Read a message; None for one that is not ours."""
    told = dict(headers)
    count = told.get("spans", b"")
    if told.get("format") == _FRAME and value and count.isdigit() and 0 < len(count) <= _MOST_DIGITS:
        return Waiting(offset, int(count), value, timestamp_ms, {})
    if told.get("format") == _DROPS:
        try:
            drops = _decode_drops(value or b"")
        except msgspec.MsgspecError:
            return None
        lost: Counter[str] = Counter()
        for reason, spans in drops.items():
            lost[reason if reason in _COUNTED else _OTHER] += max(0, spans)
        return Waiting(offset, 0, b"", timestamp_ms, lost)
    return None
