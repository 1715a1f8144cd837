"""Lines come out of files whatever they are packed in, and a broken file gives all that can be read of it."""

from __future__ import annotations

import gzip
import os
import random
import threading
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.sources import log_files
from pipeline.sources.log_files import LogFile, UnreadableFile

PACKERS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
}
RANDOM = random.Random(7)
LINES = [b"%06d " % number + RANDOM.randbytes(60).hex().encode() for number in range(30_000)]
CONTENT = b"\n".join(LINES) + b"\n"


def lines_of(path: Path) -> list[bytes]:
    file = LogFile(path)
    try:
        return [line for block in file.lines() for line in block]
    finally:
        file.close()


def lines_until_broken(path: Path) -> tuple[list[bytes], str]:
    file, lines = LogFile(path), []
    with pytest.raises(UnreadableFile) as broken:
        lines.extend(line for block in file.lines() for line in block)
    file.close()
    return lines, str(broken.value)


@pytest.mark.parametrize("packing", PACKERS)
def test_lines_are_the_same_however_the_file_is_packed(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(PACKERS[packing](CONTENT))
    assert lines_of(path) == LINES


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_packed_files_one_behind_another_are_one_file(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    cut = len(CONTENT) // 2 + 13
    padding = b"\0" * 100 if packing == "gzip" else b""
    path.write_bytes(PACKERS[packing](CONTENT[:cut]) + PACKERS[packing](CONTENT[cut:]) + padding)
    assert lines_of(path) == LINES


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_file_that_breaks_off_gives_what_stood_before_and_names_itself(
    packing: str, tmp_path: Path
) -> None:
    path = tmp_path / "cut.log"
    packed = PACKERS[packing](CONTENT)
    path.write_bytes(packed[: len(packed) * 3 // 4])
    lines, fault = lines_until_broken(path)
    assert 10_000 < len(lines) < 30_000
    assert lines[:-1] == LINES[: len(lines) - 1]
    assert LINES[len(lines) - 1].startswith(lines[-1])
    assert fault == f"{path}: ends in the middle of its {packing} data"


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_damaged_file_gives_what_stood_before_and_names_itself(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.log"
    packed = bytearray(PACKERS[packing](CONTENT))
    packed[len(packed) // 2 : len(packed) // 2 + 500] = b"\xaa" * 500
    path.write_bytes(packed)
    lines, fault = lines_until_broken(path)
    assert lines[:1000] == LINES[:1000]
    assert fault.startswith(f"{path}: ")


def test_what_is_no_line_is_left_out_and_what_is_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\n\r\n two \x0b\x0c\x85\xe2\x80\xa8still\x00\n\xff\nlast")
    assert lines_of(path) == [b"one\r", b" two \x0b\x0c\x85\xe2\x80\xa8still\x00", b"\xff", b"last"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\n \n"[:2], b"\r\n"])
def test_a_file_without_lines_gives_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert lines_of(path) == []


@given(
    content=st.binary(max_size=200).map(lambda drawn: b"<" + drawn.replace(b"\r", b"\n\n")),
    size=st.integers(1, 9),
)
def test_where_blocks_end_makes_no_difference(
    content: bytes, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "_BLOCK_BYTES", size)
        lines = lines_of(path)
    *whole, last = content.split(b"\n")
    assert lines == [line for line in whole if line] + ([last] if last.strip() else [])


def test_a_line_without_end_is_cut_and_not_gathered(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"short\n" + b"x" * 70_000_000 + b"\nafter\n")
    sizes = [len(line) for line in lines_of(path)]
    assert max(sizes) <= 33 * 2**20
    assert (sizes[0], sizes[-1], sum(sizes)) == (5, 5, 70_000_010)


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_bomb_is_unpacked_piece_by_piece(packing: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    packed = PACKERS[packing](b"\0" * 300_000_000)
    assert len(packed) < 400_000
    path.write_bytes(packed)
    file = LogFile(path)
    assert max(len(block) for block in file._blocks()) <= 130 * 2**20
    file.close()


def test_progress_is_told_in_bytes_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(CONTENT))
    file = LogFile(path)
    seen = [file.bytes_read for _ in file.lines()]
    file.close()
    assert file.bytes_total == path.stat().st_size == seen[-1]
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writing = threading.Thread(target=path.write_bytes, args=(gzip.compress(CONTENT),))
    writing.start()
    file = LogFile(path)
    assert file.bytes_total is None
    assert [line for block in file.lines() for line in block] == LINES
    file.close()
    writing.join()


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_what_cannot_be_opened_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: (No such file|Is a directory)"):
        LogFile(tmp_path / name)
