"""Cuts a TCP byte stream into syslog messages: octet-counted (RFC 6587 3.4.1) or newline-ended (3.4.2)."""

from __future__ import annotations

import re

_COUNT = re.compile(rb"([1-9]\d{0,8}) ")


class StreamFramer:
    """Frames of one connection; both framings may alternate, each frame is told apart by its first bytes.

    An octet-counted frame begins with a digit, a syslog message with `<`, and HAProxy's own messages
    without a header with an address: `127.0.0.1:…` is no count, for no space follows its digits.

    Args:
        max_frame: Bytes of one frame; what is longer is handed on in pieces of this size, so that nothing is
            lost and nothing grows: its pieces will be dead letters or truncated records.
    """

    def __init__(self, max_frame: int = 65_536) -> None:
        self._max_frame = max_frame
        self._rest = b""

    def feed(self, received: bytes) -> list[bytes]:
        """Take bytes in as they come; gives the frames now whole, without their newline or count."""
        buffer = self._rest + received if self._rest else received
        frames: list[bytes] = []
        position, end = 0, len(buffer)
        while position < end:
            count = _COUNT.match(buffer, position)
            if count is not None:
                start, size = count.end(), int(count[1])
                if size > self._max_frame:
                    # Not a count that we accept: the stream is read as lines from here on.
                    count = None
                elif start + size > end:
                    break
                else:
                    frames.append(buffer[start : start + size])
                    position = start + size
                    continue
            newline = buffer.find(b"\n", position)
            if newline >= 0 and newline - position <= self._max_frame:
                if newline > position:
                    frames.append(buffer[position:newline])
                position = newline + 1
            elif end - position > self._max_frame:
                frames.append(buffer[position : position + self._max_frame])
                position += self._max_frame
            else:
                break
        self._rest = buffer[position:]
        return frames

    def close(self) -> list[bytes]:
        """Give what is left when the connection ends: a last line without newline, or a broken frame."""
        rest, self._rest = self._rest, b""
        count = _COUNT.match(rest)
        if count is not None:
            rest = rest[count.end() :]
        return [rest] if rest.strip() else []
