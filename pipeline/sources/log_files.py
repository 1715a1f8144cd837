"""Log files as blocks of bytes, then as lines: plain, gzip or zstd (told by their first bytes), or a pipe.

Memory is bounded whatever a file holds: blocks of about a mebibyte, lines cut at 32 MiB.
"""

from __future__ import annotations

import os
import stat
import sys
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

import zstandard

from pipeline.errors import ConfigError, PipelineError

_BLOCK_BYTES = 2**20
_COMPRESSED_BYTES = 2**17
_ZSTD_PIECE_BYTES = 4096
"""Compressed bytes given to zstd at once: its decoder has no bound of its own, and 4 bytes may stand for
128 KiB, so this keeps a hostile file's block under 128 MiB."""
_LONGEST_LINE = 32 * 2**20
_GZIP, _ZSTD = b"\x1f\x8b", (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAGIC_BYTES = 4


class UnreadableFile(PipelineError):  # noqa: N818 -- says what is the case
    """A file that breaks off or is damaged; what stood before that has been given."""


class LogFile:
    """One file to read from beginning to end.

    Args:
        path: A file, or `-` for standard input.

    Raises:
        ConfigError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0
        """Bytes taken so far, compressed ones where it is compressed."""
        self.bytes_total: int | None
        """Size on disk; None for a pipe, which can be read but once."""
        try:
            if str(path) == "-":
                self._file = cast(BufferedReader, sys.stdin.buffer)
                self.bytes_total = None
            else:
                self._file = path.open("rb")
                found = os.fstat(self._file.fileno())
                self.bytes_total = found.st_size if stat.S_ISREG(found.st_mode) else None
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from error
        self._fault = ""

    def close(self) -> None:
        """Close it; standard input stays open."""
        if str(self.path) != "-":
            self._file.close()

    def lines(self) -> Iterator[list[bytes]]:
        r"""Give the lines of one block after another, without their `\n`; lines without a byte are left out.

        Only `\n` ends a line. One longer than 32 MiB is given in pieces.

        Raises:
            UnreadableFile: After the last line that could be read.
        """
        parts: list[bytes] = []
        held = 0
        for block in self._checked_blocks():
            lines = block.split(b"\n")
            held += len(lines[0])
            parts.append(lines[0])
            if len(lines) > 1:
                lines[0] = b"".join(parts)
                parts = [lines.pop()]
                held = len(parts[0])
                has_empty = b"" in lines or b"\r" in lines
                yield [line for line in lines if line and line != b"\r"] if has_empty else lines
            elif held >= _LONGEST_LINE:
                yield [b"".join(parts)]
                parts, held = [], 0
        last = b"".join(parts)
        if last.strip():
            yield [last]
        if self._fault:
            raise UnreadableFile(f"{self.path}: {self._fault}")

    def _checked_blocks(self) -> Iterator[bytes]:
        """Give blocks until the end or a fault, which is kept for later."""
        try:
            yield from self._blocks()
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            self._fault = str(error)

    def _blocks(self) -> Iterator[bytes]:
        first = self._read(_BLOCK_BYTES)
        while 0 < len(first) < _MAGIC_BYTES and (more := self._read(_BLOCK_BYTES)):
            first += more
        if first.startswith(_GZIP):
            yield from self._gunzip(first)
        elif first[:_MAGIC_BYTES] in _ZSTD:
            yield from self._unzstd(first)
        else:
            block = first.removeprefix(_BYTE_ORDER_MARK)
            while block:
                yield block
                block = self._read(_BLOCK_BYTES)

    def _read(self, size: int) -> bytes:
        block = self._file.read1(size)
        self.bytes_read += len(block)
        return block

    def _gunzip(self, compressed: bytes) -> Iterator[bytes]:
        """Decompress gzip members one behind another."""
        decoder = zlib.decompressobj(wbits=31)
        while compressed:
            yield decoder.decompress(compressed, _BLOCK_BYTES)
            compressed = decoder.unconsumed_tail
            if decoder.eof:
                compressed = decoder.unused_data.lstrip(b"\0") or self._read(_COMPRESSED_BYTES).lstrip(b"\0")
                if compressed:
                    decoder = zlib.decompressobj(wbits=31)
            elif not compressed:
                compressed = self._read(_COMPRESSED_BYTES)
        if not decoder.eof:
            raise EOFError("ends in the middle of its gzip data")

    def _unzstd(self, compressed: bytes) -> Iterator[bytes]:
        """Decompress zstd frames one behind another."""
        decoder = zstandard.ZstdDecompressor().decompressobj()
        while compressed:
            for at in range(0, len(compressed), _ZSTD_PIECE_BYTES):
                piece = compressed[at : at + _ZSTD_PIECE_BYTES]
                while piece:
                    if decoder.eof:
                        decoder = zstandard.ZstdDecompressor().decompressobj()
                    yield decoder.decompress(piece)
                    piece = decoder.unused_data if decoder.eof else b""
            compressed = self._read(_BLOCK_BYTES)
        if not decoder.eof:
            raise EOFError("ends in the middle of its zstd data")
