"""Reading segment files: at opening, to learn what there is; later, what memory does not hold."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from pipeline.bus.books import Books
from pipeline.bus.cipher import Cipher
from pipeline.bus.frames import (
    HEAD_BYTES,
    SEGMENT_HEAD_BYTES,
    Damaged,
    Head,
    decode,
    is_whole,
    read_head,
    read_segment_head,
)
from pipeline.bus.segments import SUFFIX, Segment, segment_path
from pipeline.model import Delivery, Source

_log = logging.getLogger(__name__)

_READ_BYTES = 2**20
_HOP_BYTES = 2**16
"""Read at a time where only the heads of frames are wanted."""


class SegmentFile:
    """A segment opened for reading; keeps the last stretch that it read."""

    def __init__(self, path: Path, key: bytes | None) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        salt = read_segment_head(os.pread(self._descriptor, SEGMENT_HEAD_BYTES, 0))
        self.is_readable = salt is not None
        self._cipher = Cipher(key, salt) if key is not None and salt is not None else None
        self._data, self._start = b"", 0

    def sync(self) -> None:
        """Make durable what a killed process had written and not synced, before anybody reads it."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def heads(self, at: int, size: int, expected: int) -> Iterator[tuple[int, Head]]:
        """Hop from frame to frame: position and head of each whose offset follows the one before."""
        while self.is_readable:
            head = read_head(*self._stretch(at, HEAD_BYTES, size, _HOP_BYTES))
            if head is None or head.offset != expected or at + head.frame_bytes > size:
                return
            yield at, head
            at, expected = at + head.frame_bytes, head.end

    def is_whole(self, at: int, head: Head, size: int) -> bool:
        """Whether a frame is what was written."""
        data, start = self._stretch(at, head.frame_bytes, size, head.frame_bytes)
        return is_whole(data, start, head)

    def head(self, at: int, size: int) -> Head | None:
        """Read the head at a position, and most likely what follows it."""
        return read_head(*self._stretch(at, HEAD_BYTES, size, _READ_BYTES))

    def delivery(self, at: int, head: Head, size: int) -> Delivery:
        """Read a frame.

        Raises:
            Damaged: It is not what was written.
        """
        data, start = self._stretch(at, head.frame_bytes, size, _READ_BYTES)
        return decode(data, start, head, self._cipher)

    def _stretch(self, at: int, wanted: int, size: int, ahead: int) -> tuple[bytes, int]:
        """Give bytes that hold what is wanted, as far as it is there, and where in them it begins.

        Never reads beyond `size`, which is durable: what follows may be being written.
        """
        start = at - self._start
        if start < 0 or start + wanted > len(self._data):
            self._data = os.pread(self._descriptor, max(0, min(max(wanted, ahead), size - at)), at)
            self._start, start = at, 0
        return self._data, start


class Hole(NamedTuple):
    """Records that cannot be read any more, up to an offset."""

    stop: int


class DiskReader:
    """Reads deliveries in offset order, from wherever the reader stands."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._file: SegmentFile | None = None
        self._at, self._next = 0, 0

    def read(self, segment: Segment, offset: int) -> Delivery | Hole:
        """Read the frame that holds an offset of this segment; the delivery may begin before it.

        Raises:
            OSError: It may pass later (no file descriptor is left, say); nothing is known to be lost.
        """
        try:
            file = self._seek(segment, offset)
            head = file.head(self._at, segment.size) if file.is_readable else None
            if head is None or not head.offset <= offset < head.end:
                return Hole(segment.end)
            at, self._at, self._next = self._at, self._at + head.frame_bytes, head.end
            return file.delivery(at, head, segment.size)
        except Damaged:
            return Hole(min(self._next, segment.end))
        except OSError as error:
            self.close()
            if error.errno not in (errno.ENOENT, errno.EIO):
                raise
            _log.error("cannot read %s: %s", segment.path, error.strerror)
            return Hole(segment.end)

    def close(self) -> None:
        """Close what is open; safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _seek(self, segment: Segment, offset: int) -> SegmentFile:
        if self._file is None or self._file.path != segment.path:
            self.close()
            self._file = SegmentFile(segment.path, self._key)
            self._at, self._next = SEGMENT_HEAD_BYTES, segment.first
        if self._next > offset:
            self._at, self._next = SEGMENT_HEAD_BYTES, segment.first
        if self._next < offset:
            for at, head in self._file.heads(self._at, segment.size, self._next):
                self._at, self._next = at, head.offset
                if head.end > offset:
                    break
        return self._file


def recover(directory: Path, books: Books) -> list[Segment]:
    """Find the segments of a journal, and enter into the books what is pending in them.

    Whole segments below the committed offset are removed. Frames of the last segment are checked; at the
    first that is not whole the log ends, since what was acknowledged was synced before. Records that are
    missing in the middle (a damaged disk, a file removed by hand) stay in the books: reading hands them out
    as empty records, so that they are accounted for and nothing waits for them.
    """
    firsts = sorted(int(file.stem) for file in directory.glob("*" + SUFFIX) if file.stem.isdecimal())
    found = []
    for first, following in zip_longest(firsts, firsts[1:]):
        path = segment_path(directory, first)
        if following is not None and following <= books.committed:
            path.unlink()
            continue
        found.append(_scan(path, first, following, books))
    return found


def _scan(path: Path, first: int, following: int | None, books: Books) -> Segment:
    owner = Source.HAPROXY
    _lose(owner, books, first, path)
    segment = Segment(path, first, first, SEGMENT_HEAD_BYTES)
    length = path.stat().st_size
    file = SegmentFile(path, None)
    try:
        for at, head in file.heads(SEGMENT_HEAD_BYTES, length, first):
            if following is not None and head.end > following:
                break
            if following is None and not file.is_whole(at, head, length):
                break
            segment.end, segment.size, owner = head.end, at + head.frame_bytes, head.source
            books.receive(owner, max(0, head.end - books.end))
        if following is None:
            file.sync()
    finally:
        file.close()
    if following is not None:
        _lose(owner, books, following, path)
    return segment


def _lose(owner: Source, books: Books, stop: int, path: Path) -> None:
    if stop > books.end:
        _log.error("the journal is damaged at %s: %d records are lost", path, stop - books.end)
        books.receive(owner, stop - books.end)
