"""What a journal finds after its files were torn, cut or damaged."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pipeline.bus import segment_file
from pipeline.bus.books import Books
from pipeline.bus.frames import HEAD_BYTES, SEGMENT_HEAD_BYTES
from pipeline.bus.journal import open_journal
from pipeline.bus.segment_file import recover
from pipeline.contracts import Bus
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

Line = Callable[..., Delivery]
BodiesOf = Callable[[Bus], Awaitable[list[bytes]]]
CAP = 2**20


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log"))


def overwrite(file: Path, at: int, data: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(data)


async def filled(directory: Path, *deliveries: Delivery) -> int:
    """Write deliveries; gives the offset of the first record."""
    async with open_journal(directory, CAP) as journal:
        base = journal.end
        for each in deliveries:
            await journal.append(each)
        return base


@pytest.mark.parametrize("torn", [1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 10, 300])
@pytest.mark.parametrize("filler", [b"", bytes(4096), b"\xff" * 4096])
async def test_a_torn_last_write_ends_the_log_and_what_came_before_is_there(
    tmp_path: Path, line: Line, bodies_of: BodiesOf, torn: int, filler: bytes
) -> None:
    base = await filled(tmp_path, line(b"a", b"b"), line(b"x" * 400))
    (file,) = segments(tmp_path)
    whole = file.read_bytes()
    second = whole.rindex(b"HTF1")
    file.write_bytes(whole[: second + torn] + filler)
    async with open_journal(tmp_path, CAP) as journal:
        assert journal.end == base + 2
        await journal.append(line(b"c"))
        assert await bodies_of(journal) == [b"a", b"b", b"c"]
    async with open_journal(tmp_path, CAP) as journal:
        assert await bodies_of(journal) == [b"a", b"b", b"c"]
        assert journal.account().pending[Source.HAPROXY] == 3


async def test_a_whole_frame_beyond_the_next_segment_was_never_acknowledged(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    """A write that was reported as failed may be in the file all the same."""
    await filled(tmp_path, line(b"a"), line(b"failed", b"failed"))
    (file,) = segments(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b"HTF1")])
    await filled(tmp_path, line(b"b"))
    file.write_bytes(whole)
    async with open_journal(tmp_path, CAP) as journal:
        assert await bodies_of(journal) == [b"a", b"b"]
        assert journal.account().pending[Source.HAPROXY] == 2


async def test_bytes_that_look_like_a_frame_inside_a_record_are_a_record(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    await filled(tmp_path, line(b"a"))
    forged = segments(tmp_path)[0].read_bytes()
    await filled(tmp_path, line(forged))
    async with open_journal(tmp_path, CAP) as journal:
        assert await bodies_of(journal) == [b"a", forged]


async def test_an_empty_segment_left_by_a_kill_does_no_harm(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    base = await filled(tmp_path, line(b"a"))
    (tmp_path / f"{base + 1:020d}.log").touch()
    (tmp_path / "notes.log").write_text("somebody else's")
    async with open_journal(tmp_path, CAP) as journal:
        assert journal.end == base + 1
        await journal.append(line(b"b"))
    async with open_journal(tmp_path, CAP) as journal:
        assert await bodies_of(journal) == [b"a", b"b"]


async def test_a_damaged_record_is_handed_out_empty_and_its_neighbours_whole(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    """Nothing may wait for what is lost, and the account must say where it went."""
    await filled(tmp_path, line(b"a"), line(b"spoilt", b"spoilt", source=Source.KONG), line(b"b"))
    (file,) = segments(tmp_path)
    await filled(tmp_path, line(b"c"))  # the damaged segment is not the last one any more
    overwrite(file, file.read_bytes().index(b"spoilt"), b"SPOILT")
    async with open_journal(tmp_path, CAP) as journal:
        assert journal.account().pending == {Source.HAPROXY: 3, Source.KONG: 2}
        assert await bodies_of(journal) == [b"a", b"", b"", b"b", b"c"]
        passed = {Outcome(Source.HAPROXY, OutcomeKind.STORED): 3}
        await journal.commit(
            journal.end, passed | {Outcome(Source.KONG, OutcomeKind.DEAD_LETTER, "empty"): 2}
        )


async def test_a_segment_damaged_at_a_head_loses_its_rest_and_no_other(
    tmp_path: Path, line: Line, bodies_of: BodiesOf, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(tmp_path, line(b"a"), line(b"b"), line(b"c"))
    (file,) = segments(tmp_path)
    await filled(tmp_path, line(b"d"))
    overwrite(file, file.read_bytes().rindex(b"HTF1"), b"oops")
    async with open_journal(tmp_path, CAP) as journal:
        assert "damaged" in caplog.text
        assert await bodies_of(journal) == [b"a", b"b", b"", b"d"]


@pytest.mark.parametrize("removed", [0, 1])
async def test_a_segment_that_was_removed_is_accounted_for(
    tmp_path: Path, line: Line, bodies_of: BodiesOf, removed: int
) -> None:
    for number in range(3):
        await filled(tmp_path, line(b"%d" % number))
    segments(tmp_path)[removed].unlink()
    async with open_journal(tmp_path, CAP) as journal:
        expected = [b"0", b"1", b"2"]
        expected[removed] = b""
        assert await bodies_of(journal) == expected
        assert journal.account().pending[Source.HAPROXY] == 3


async def test_a_file_that_vanishes_while_the_journal_is_open_stops_nothing(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    await filled(tmp_path, line(b"a"))
    await filled(tmp_path, line(b"b"))
    async with open_journal(tmp_path, CAP) as journal:
        segments(tmp_path)[0].unlink()
        assert await bodies_of(journal) == [b"", b"b"]


async def test_a_file_that_cannot_be_read_now_is_read_later(
    tmp_path: Path, line: Line, bodies_of: BodiesOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(tmp_path, line(b"a"))

    def no_descriptor_is_left(*_: object) -> None:
        raise OSError(24, "Too many open files")

    async with open_journal(tmp_path, CAP) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(segment_file, "SegmentFile", no_descriptor_is_left)
            assert await journal.read(10, 0.01) == []
        assert await bodies_of(journal) == [b"a"]


async def test_recovery_removes_what_was_committed_before_a_kill(tmp_path: Path, line: Line) -> None:
    firsts = [await filled(tmp_path, line(b"%d" % number)) for number in range(3)]
    books = Books(firsts[2])
    found = recover(tmp_path, books)
    assert [segment.first for segment in found] == [firsts[2]]
    assert [file.name for file in segments(tmp_path)] == [f"{firsts[2]:020d}.log"]
    assert books.end == firsts[2] + 1


async def test_small_and_large_frames_are_hopped_over_alike(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    """Frames beyond what is read at once, and many within it."""
    bodies = [b"%d" % number for number in range(300)] + [b"y" * 300_000] + [b"z"] * 300 + [b"w" * 200_000]
    base = await filled(tmp_path, *(line(body) for body in bodies))
    async with open_journal(tmp_path, CAP) as journal:
        await journal.commit(base + 450, {Outcome(Source.HAPROXY, OutcomeKind.STORED): 450})
        assert await bodies_of(journal) == bodies[450:]
    assert SEGMENT_HEAD_BYTES == 32
