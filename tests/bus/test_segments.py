import fcntl
import os
from pathlib import Path

from pipeline.bus.frames import SEGMENT_HEAD_BYTES, read_segment_head
from pipeline.bus.segments import OpenSegment, Segment, Segments, segment_path


def segment(first: int, end: int, *, is_open: bool = False) -> Segment:
    return Segment(Path(str(first)), first, end, 100, is_open)


def test_a_write_returns_when_it_is_synced(tmp_path: Path) -> None:
    opened = OpenSegment(tmp_path, 2**40, None, 4096)
    assert fcntl.fcntl(opened._descriptor, fcntl.F_GETFL) & os.O_DSYNC
    opened.close()


def test_space_allocated_ahead_is_cut_off_at_the_end(tmp_path: Path) -> None:
    opened = OpenSegment(tmp_path, 2**40, None, 2**20)
    opened.write([b"ab", b"", b"c"])
    assert opened.path.stat().st_size == 2**20
    opened.close()
    assert opened.path == segment_path(tmp_path, 2**40)
    assert opened.path.read_bytes()[SEGMENT_HEAD_BYTES:] == b"abc"
    assert read_segment_head(opened.path.read_bytes()) is not None


def test_more_buffers_than_the_kernel_takes_at_once_are_written_in_order(tmp_path: Path) -> None:
    opened = OpenSegment(tmp_path, 2**40, None, 4096)
    buffers = [b"%d," % number for number in range(5000)]
    opened.write(buffers)
    opened.close()
    assert opened.path.read_bytes()[SEGMENT_HEAD_BYTES:] == b"".join(buffers)


def test_names_sort_as_offsets_do(tmp_path: Path) -> None:
    firsts = [2**40, 2**41, 2**61, 2**62 - 1]
    names = [segment_path(tmp_path, first).name for first in firsts]
    assert names == sorted(names)


def test_only_segments_without_anything_uncommitted_retire() -> None:
    segments = Segments([segment(0, 10), segment(10, 20), segment(20, 30, is_open=True)])
    segments.retire(9)
    assert segments.retired == []
    segments.retire(25)
    assert [each.first for each in segments.retired] == [0, 10]
    assert segments.bytes == 100
    segments.retire(30)
    assert len(segments.retired) == 2, "the open one stays"
    assert segments.last is not None
    segments.last.is_open = False
    segments.retire(30)
    assert len(segments.retired) == 3
    assert segments.bytes == 0


def test_an_offset_is_found_in_the_segment_around_it() -> None:
    segments = Segments([segment(10, 20), segment(20, 30)])
    first, second = segments._all
    assert segments.around(9) == (None, 10)
    assert segments.around(10) == (first, 20)
    assert segments.around(19) == (first, 20)
    assert segments.around(20) == (second, None)
    assert segments.around(99) == (second, None)
