"""The segment files of a journal: which there are, and the one that is being written.

A segment is named by the offset of its first record and ends where the next one begins: whatever lies in
it beyond that was never acknowledged, so a write that failed half-way is left behind by starting the next.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.bus.cipher import SALT_BYTES, Cipher
from pipeline.bus.frames import SEGMENT_HEAD_BYTES, segment_head

SUFFIX = ".log"
_MOST_BUFFERS = 1024
"""IOV_MAX of Linux."""


@dataclass(slots=True)
class Segment:
    """A file, as far as it is durable."""

    path: Path
    first: int
    end: int
    """Offset after its last whole frame."""
    size: int
    """Bytes of its head and its whole frames."""
    is_open: bool = False
    """Whether it is being written."""


def segment_path(directory: Path, first: int) -> Path:
    """Name the segment whose first record has the offset `first`; names sort as offsets do."""
    return directory / f"{first:020d}{SUFFIX}"


class Segments:
    """All segments, oldest first; only the last may be open. No lock: the owner holds one."""

    def __init__(self, found: Iterable[Segment]) -> None:
        self._all = list(found)
        self.bytes = sum(segment.size for segment in self._all)
        self.retired: list[Segment] = []
        """Taken out; their files are still there."""

    @property
    def last(self) -> Segment | None:
        """The newest segment."""
        return self._all[-1] if self._all else None

    def add(self, segment: Segment) -> None:
        """Begin the next segment; an empty one of the same name was the same file."""
        if self._all and self._all[-1].first == segment.first:
            self.bytes -= self._all.pop().size
        self._all.append(segment)
        self.bytes += segment.size

    def grow(self, size: int, end: int) -> None:
        """Say that `size` more bytes of the last segment are durable, with the records up to `end`."""
        self._all[-1].size += size
        self._all[-1].end = end
        self.bytes += size

    def retire(self, committed: int) -> None:
        """Take out those that hold nothing from `committed` on, except one that is open."""
        count = 0
        while count + 1 < len(self._all) and self._all[count + 1].first <= committed:
            count += 1
        if count + 1 == len(self._all) and not self._all[-1].is_open and self._all[-1].end <= committed:
            count += 1
        retired, self._all = self._all[:count], self._all[count:]
        self.bytes -= sum(segment.size for segment in retired)
        self.retired += retired

    def around(self, offset: int) -> tuple[Segment | None, int | None]:
        """Give the segment that an offset belongs to, and the offset at which the next one begins."""
        index = bisect_right(self._all, offset, key=lambda segment: segment.first)
        following = self._all[index].first if index < len(self._all) else None
        return (self._all[index - 1] if index else None), following


class OpenSegment:
    """The segment that is being written, by one thread; every write is durable when it returns.

    The file is opened with O_DSYNC, so that writing and syncing are one system call: each call gives up the
    GIL, and getting it back from a busy parser takes milliseconds. Space is allocated ahead in steps, which
    keeps the file system's own journal out of most writes.

    Raises:
        OSError: It cannot be made; nothing is left of it.
    """

    def __init__(self, directory: Path, first: int, key: bytes | None, step_bytes: int) -> None:
        self.path = segment_path(directory, first)
        self.first = first
        self.size = 0
        self.number = 0
        """Of the next frame; counts attempts, so that none is used twice."""
        self._step = step_bytes
        self._allocated = 0
        salt = secrets.token_bytes(SALT_BYTES)
        self.cipher = None if key is None else Cipher(key, salt)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DSYNC
        self._descriptor = os.open(self.path, flags, 0o600)
        try:
            self.write([segment_head(salt, first)])
            sync_directory(directory)
        except OSError:
            os.close(self._descriptor)
            self.path.unlink(missing_ok=True)
            raise

    def as_segment(self) -> Segment:
        """Describe it while it holds no records yet."""
        return Segment(self.path, self.first, self.first, SEGMENT_HEAD_BYTES, is_open=True)

    def write(self, buffers: Sequence[bytes]) -> None:
        """Append and sync.

        Raises:
            OSError: What is in the file from `size` on is not known; only closing is of use.
        """
        total = sum(map(len, buffers))
        self._allocate(self.size + total)
        if len(buffers) > _MOST_BUFFERS:
            buffers = [b"".join(buffers)]
        written = os.pwritev(self._descriptor, buffers, self.size)
        if written < total:
            rest = memoryview(b"".join(buffers))
            while written < total:
                written += os.pwrite(self._descriptor, rest[written:], self.size + written)
        self.size += total

    def close(self) -> None:
        """Close the file and cut off what was allocated ahead or failed to be written."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self.size)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _allocate(self, size: int) -> None:
        """Make room ahead. Where that fails the write itself tells whether there is space."""
        while self._allocated < size:
            with contextlib.suppress(OSError):
                os.posix_fallocate(self._descriptor, self._allocated, self._step)
            self._allocated += self._step


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
