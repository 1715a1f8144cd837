"""A journal on a disk that takes no more, and on one that takes again."""

import asyncio
import logging
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.bus.journal import Journal, open_journal
from pipeline.contracts import Bus
from pipeline.errors import BusFull
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

Line = Callable[..., Delivery]
Stored = Callable[[Iterable[Delivery]], Counter[Outcome]]
BodiesOf = Callable[[Bus], Awaitable[list[bytes]]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]

CAP = 2**30
BUS_FULL = Outcome(Source.HAPROXY, OutcomeKind.DROPPED, "bus_full")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of eight mebibytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "hoptrail-test", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let the kernel refuse what would make any file of this process larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


async def append_until_full(journal: Journal, made: Callable[[bytes], Delivery]) -> list[bytes]:
    kept: list[bytes] = []
    async with asyncio.timeout(30):
        while True:
            body = b"%06d" % len(kept) + b"x" * 40_000
            try:
                await journal.append(made(body))
            except BusFull:
                return kept
            kept.append(body)


async def test_a_full_disk_refuses_keeps_what_it_acknowledged_and_goes_on(
    small_disk: Path, line: Line, stored: Stored, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_journal(small_disk / "journal", CAP) as journal:
        kept = await append_until_full(journal, line)
        assert len(kept) > 100
        assert journal.fill == 1.0
        journal.append_nowait(line(b"y" * 50_000, b"y" * 50_000))
        await until(lambda: journal.account().outcomes.get(BUS_FULL) == 2)
        got = await journal.read(10_000, 0.0)
        assert [body for each in got for body in each.bodies] == kept
        warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len([record for record in warnings if "refuses" in record.message]) == 1

        await journal.commit(journal.end, stored(got))  # saved though nothing is left; gives space back
        await until(lambda: not list((small_disk / "journal").glob("*.log")))
        again = await append_until_full(journal, line)
        assert len(again) > 100
        assert journal.account().outcomes == stored(got) + Counter({BUS_FULL: 2})


async def test_a_journal_on_a_full_disk_opens_again_and_commits(
    small_disk: Path, line: Line, stored: Stored
) -> None:
    async with open_journal(small_disk / "journal", CAP) as journal:
        kept = await append_until_full(journal, line)
    with (small_disk / "others").open("wb", buffering=0) as others:
        try:
            while others.write(b"z" * 4096) == 4096:
                pass
        except OSError:
            pass
    async with open_journal(small_disk / "journal", CAP) as journal:
        assert journal.account().pending[Source.HAPROXY] == len(kept)
        with pytest.raises(BusFull):
            await journal.append(line(b"x" * 100_000))
        got = await journal.read(10_000, 0.0)
        assert [body for each in got for body in each.bodies] == kept
        await journal.commit(journal.end, stored(got))
    async with open_journal(small_disk / "journal", CAP) as journal:
        assert journal.account().outcomes == stored(got)
        await journal.append(line(b"x" * 100_000))


async def test_a_write_that_is_cut_short_leaves_nothing_behind(
    tmp_path: Path, line: Line, bodies_of: BodiesOf, until: Until
) -> None:
    """The kernel takes a part of the frame and refuses the rest."""
    async with open_journal(tmp_path, CAP) as journal:
        await journal.append(line(b"before"))
        with files_no_larger_than(300_000):
            await journal.append(line(b"within" + b"x" * 100_000))
            with pytest.raises(BusFull):
                await journal.append(line(b"refused" + b"x" * 400_000))
            journal.append_nowait(line(b"dropped" + b"x" * 400_000))
            await until(lambda: journal.account().outcomes.get(BUS_FULL) == 1)
            await journal.append(line(b"smaller"))
        await journal.append(line(b"after" + b"x" * 400_000))
        assert [body[:7] for body in await bodies_of(journal)] == [
            b"before",
            b"withinx",
            b"smaller",
            b"afterxx",
        ]
    async with open_journal(tmp_path, CAP) as journal:
        assert [body[:6] for body in await bodies_of(journal)] == [b"before", b"within", b"smalle", b"afterx"]
        assert journal.account().pending[Source.HAPROXY] == 4


async def test_a_commit_waits_until_the_disk_takes_it(
    tmp_path: Path, line: Line, stored: Stored, until: Until
) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        await journal.append(line(b"a"))
        got = await journal.read(10, 0.0)
        with files_no_larger_than(1):
            committing = asyncio.create_task(journal.commit(journal.end, stored(got)))
            await until(lambda: journal._keeper._is_failing)
            assert not committing.done()
            assert journal.account().outcomes == {}
            assert journal.committed < journal.end
        async with asyncio.timeout(30):
            await committing
        assert journal.account().outcomes == stored(got)
    async with open_journal(tmp_path, CAP) as journal:
        assert journal.account().outcomes == stored(got)
