import asyncio
import sys
import threading
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import pytest

from pipeline.bus import journal as module
from pipeline.bus.journal import Journal, open_journal
from pipeline.bus.segments import OpenSegment
from pipeline.contracts import Bus
from pipeline.errors import BusFull, ConfigError, RetryableError
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

Line = Callable[..., Delivery]
Stored = Callable[[Iterable[Delivery]], Counter[Outcome]]
BodiesOf = Callable[[Bus], Awaitable[list[bytes]]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]

CAP = 2**26
STORED = Outcome(Source.HAPROXY, OutcomeKind.STORED)
BUS_FULL = Outcome(Source.HAPROXY, OutcomeKind.DROPPED, "bus_full")


async def appended_until_full(journal: Journal, delivery: Delivery) -> int:
    kept = 0
    async with asyncio.timeout(30):
        while True:
            try:
                await journal.append(delivery)
            except BusFull:
                return kept
            kept += 1


def files_of(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.iterdir())


def disk_bytes(directory: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in directory.glob("*.log"))


async def test_a_journal_opened_again_reads_from_the_committed_offset(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        await journal.append(line(b"a", b"b"))
        await journal.append(line(b"c", b"d"))
        base = journal.committed
        await journal.read(10, 0.0)
        await journal.commit(base + 3, {STORED: 3})
        account = journal.account()
    async with open_journal(tmp_path, CAP) as journal:
        assert journal.account() == account
        assert (journal.committed, journal.end) == (base + 3, base + 4)
        (got,) = await journal.read(10, 0.0)
        assert (got.bodies, got.offset, got.peer) == ([b"d"], base + 3, "192.0.2.7")
        await journal.append(line(b"e"))
        assert await bodies_of(journal) == [b"e"]
        assert journal.end == base + 5


async def test_what_was_read_and_not_committed_is_read_again(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    for _ in range(3):
        async with open_journal(tmp_path, CAP) as journal:
            await journal.append(line(b"a"))
            await bodies_of(journal)
    async with open_journal(tmp_path, CAP) as journal:
        assert await bodies_of(journal) == [b"a", b"a", b"a"]


async def test_queued_deliveries_are_written_before_closing(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        for number in range(500):
            journal.append_nowait(line(b"%d" % number))
    async with open_journal(tmp_path, CAP) as journal:
        assert await bodies_of(journal) == [b"%d" % number for number in range(500)]


async def test_drops_survive(tmp_path: Path, until: Until) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        journal.count_drop(Source.KONG, "refused", 3)
    async with open_journal(tmp_path, CAP) as journal:
        journal.count_drop(Source.KONG, "refused", 4)
        assert journal.account().outcomes == {Outcome(Source.KONG, OutcomeKind.DROPPED, "refused"): 7}
        saved = journal._state
        await until(lambda: "7" in saved._load()[1])


async def test_a_commit_that_is_refused_takes_no_drop_with_it(tmp_path: Path, until: Until) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        journal.count_drop(Source.KONG, "refused", 9)
        with pytest.raises(ValueError, match="commit"):
            await journal.commit(journal.end + 1, {STORED: 1})
        saved = journal._state
        await until(lambda: "9" in saved._load()[1])


async def test_concurrent_appends_share_their_syncs(tmp_path: Path, line: Line) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        await asyncio.gather(*(journal.append(line(b"%d" % number)) for number in range(1000)))
        assert journal.end - journal.committed == 1000
        assert 1 <= journal.syncs <= 250
        before = journal.syncs
        for _ in range(10):
            await journal.append(line(b"alone"))
        assert journal.syncs == before + 10


async def test_nothing_is_acknowledged_read_or_counted_before_it_is_synced(
    tmp_path: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        await journal.append(line(b"first"))
        await journal.read(10, 0.0)
        writing, may_write = threading.Event(), threading.Event()
        write = OpenSegment.write

        def held_up(segment: OpenSegment, buffers: Sequence[bytes]) -> None:
            writing.set()
            may_write.wait(30)
            write(segment, buffers)

        monkeypatch.setattr(OpenSegment, "write", held_up)
        account, end = journal.account(), journal.end
        appending = asyncio.create_task(journal.append(line(b"second")))
        await asyncio.to_thread(writing.wait, 30)
        assert await journal.read(10, 0.01) == []
        assert not appending.done()
        assert (journal.account(), journal.end) == (account, end)
        may_write.set()
        await appending
        assert [each.bodies for each in await journal.read(10, 0.0)] == [[b"second"]]
        assert journal.end == end + 1


async def test_of_many_appends_at_the_cap_exactly_the_acknowledged_are_there(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    bodies = [b"%d " % number + b"x" * (1_000 + number * 400) for number in range(100)]
    async with open_journal(tmp_path, 2**20) as journal:
        told = await asyncio.gather(*(journal.append(line(body)) for body in bodies), return_exceptions=True)
        assert {type(each) for each in told} == {BusFull, type(None)}
        kept = [body for body, each in zip(bodies, told, strict=True) if each is None]
        assert journal.account().pending[Source.HAPROXY] == len(kept)
        assert sorted(await bodies_of(journal)) == sorted(kept)


async def test_files_are_private(tmp_path: Path, line: Line) -> None:
    directory = tmp_path / "journal"
    async with open_journal(directory, CAP) as journal:
        await journal.append(line(b"a"))
        journal.count_drop(Source.KONG, "refused", 1)
        await journal.commit(journal.end, {STORED: 1})
        assert directory.stat().st_mode & 0o777 == 0o700
        modes = {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}
    assert {"state.db", "state.db-wal", "lock", "reserve"} < set(modes)
    assert set(modes.values()) == {0o600}


async def test_a_second_process_is_told_who_has_it(tmp_path: Path, line: Line) -> None:
    held = (
        "import asyncio, pathlib, sys\n"
        "from pipeline.bus.journal import open_journal\n"
        "async def main():\n"
        "    async with open_journal(pathlib.Path(sys.argv[1]), 2**20):\n"
        "        print('open', flush=True)\n"
        "        sys.stdin.read()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", held, str(tmp_path)]
    holder = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"open\n"
    with pytest.raises(ConfigError, match=f"in use by process {holder.pid};"):
        async with open_journal(tmp_path, CAP):
            pass
    await holder.communicate(b"")
    async with open_journal(tmp_path, CAP) as journal:
        await journal.append(line(b"a"))


async def test_at_the_cap_appends_are_refused_until_something_is_committed(
    tmp_path: Path, line: Line, stored: Stored, until: Until
) -> None:
    body = b"x" * 30_000
    async with open_journal(tmp_path, 2**20) as journal:
        kept = await appended_until_full(journal, line(body))
        assert kept >= 2**20 // len(body) - 2
        assert journal.fill == 1.0
        journal.append_nowait(line(body, body))
        await until(lambda: journal.account().outcomes.get(BUS_FULL) == 2)
        assert disk_bytes(tmp_path) <= 2**20 + 2**17
        got = await journal.read(10, 0.0)
        assert journal.account().pending[Source.HAPROXY] == kept
        await journal.commit(journal.committed + 10, stored(got[:10]))
        await journal.append(line(body))
        assert journal.fill < 1.0


async def test_disk_space_is_given_back(tmp_path: Path, line: Line, stored: Stored, until: Until) -> None:
    async with open_journal(tmp_path, 2**20) as journal:
        for _ in range(200):
            await journal.append(line(b"x" * 60_000))
            got = await journal.read(1000, 0.0)
            await journal.commit(journal.end, stored(got))
        assert journal.fill == 0.0
        await until(lambda: disk_bytes(tmp_path) <= 3 * 2**16 + 2**15)
        assert journal.account().outcomes == {STORED: 200}


async def test_a_delivery_larger_than_the_cap_is_refused_and_the_next_one_is_not(
    tmp_path: Path, line: Line
) -> None:
    async with open_journal(tmp_path, 2**20) as journal:
        with pytest.raises(BusFull):
            await journal.append(line(b"x" * 2**21))
        assert journal.fill == 0.0
        await journal.append(line(b"y" * (2**20 - 1000)))
        await journal.commit(journal.end, {STORED: 1})
        await journal.append(line(b"z" * (2**20 - 1000)))
        assert journal.account().pending[Source.HAPROXY] == 1


async def test_a_queue_that_the_disk_does_not_empty_is_bounded(
    tmp_path: Path, line: Line, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUEUE_BYTES", 10_000)
    async with open_journal(tmp_path, CAP) as journal:
        with journal._contents._lock:  # the writer can begin nothing
            for _ in range(2):
                journal._writer.give(line(b"x" * 4_000), None)
        for _ in range(100):
            journal.append_nowait(line(b"x" * 9_900))
        await until(lambda: sum(journal.account().outcomes.values()) > 0)
        await until(
            lambda: journal.account().pending[Source.HAPROXY] + journal.account().outcomes[BUS_FULL] == 102
        )


async def test_a_reader_far_behind_reads_the_disk_and_catches_up_in_order(
    tmp_path: Path, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds three deliveries, segments two: every way from memory to disk and back is taken."""
    monkeypatch.setattr(module, "_MEMORY_BYTES", 100_000)
    got: list[Delivery] = []
    async with open_journal(tmp_path, 2**20) as journal:
        base = journal.end
        for number in range(24):
            await journal.append(line(b"%d" % number, b"x" * 36_000))
            if number % 5 == 4:
                got += await journal.read(3, 0.0)
        while more := await journal.read(5, 0.0):
            got += more
        await journal.append(line(b"24", b""))
        got += await journal.read(5, 0.0)
    assert [int(each.bodies[0]) for each in got] == list(range(25))
    assert [each.offset for each in got] == [base + 2 * number for number in range(25)]


async def test_a_journal_without_key_is_read_on_with_one(
    tmp_path: Path, line: Line, bodies_of: BodiesOf
) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        await journal.append(line(b"plain secret"))
    async with open_journal(tmp_path, CAP, b"k" * 32) as journal:
        await journal.append(line(b"sealed secret"))
        assert await bodies_of(journal) == [b"plain secret", b"sealed secret"]
    assert b"plain secret" in files_of(tmp_path)
    assert b"sealed secret" not in files_of(tmp_path)
    async with open_journal(tmp_path, CAP, b"k" * 32) as journal:
        assert await bodies_of(journal) == [b"plain secret", b"sealed secret"]


@pytest.mark.parametrize(("key", "said"), [(None, "no key was given"), (b"x" * 32, "another key was given")])
async def test_an_encrypted_journal_does_not_open_with_another_key_while_it_holds_records(
    tmp_path: Path, line: Line, bodies_of: BodiesOf, key: bytes | None, said: str
) -> None:
    async with open_journal(tmp_path, CAP, b"k" * 32) as journal:
        await journal.append(line(b"a"))
    with pytest.raises(ConfigError, match=said):
        async with open_journal(tmp_path, CAP, key):
            pass
    async with open_journal(tmp_path, CAP, b"k" * 32) as journal:
        assert await bodies_of(journal) == [b"a"]
        await journal.commit(journal.end, {STORED: 1})
    async with open_journal(tmp_path, CAP, key) as journal:
        await journal.append(line(b"b"))
        assert await bodies_of(journal) == [b"b"]


async def test_a_key_that_is_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 16"):
        async with open_journal(tmp_path, CAP, b"short"):
            pass


async def test_a_directory_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"this is not a database, and long enough to be sure of it" * 40)
    with pytest.raises(ConfigError, match="cannot be used"):
        async with open_journal(tmp_path, CAP):
            pass
    (tmp_path / "state.db").unlink()
    async with open_journal(tmp_path, CAP):
        pass


async def test_closing_twice_is_safe_and_a_closed_journal_refuses(tmp_path: Path, line: Line) -> None:
    async with open_journal(tmp_path, CAP) as journal:
        await journal.append(line(b"a"))
    assert isinstance(journal, Journal)
    journal.close()
    with pytest.raises(BusFull, match="closed"):
        await journal.append(line(b"b"))
    journal.append_nowait(line(b"b"))
    with pytest.raises(RetryableError, match="closed"):
        await journal.commit(journal.end, {STORED: 1})


async def test_a_commit_that_failed_to_be_saved_has_changed_nothing(
    tmp_path: Path, line: Line, stored: Stored
) -> None:
    """Offset and outcomes are one row: what a reopened journal says is one moment or the other, whole."""
    async with open_journal(tmp_path, CAP) as journal:
        for number in range(20):
            await journal.append(line(b"%d" % number))
        got = await journal.read(100, 0.0)
        journal._state._database.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON state WHEN NEW.committed > OLD.base + 10 "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        await journal.commit(journal.committed + 10, stored(got[:10]))
        with pytest.raises(Exception, match="no"):
            await journal.commit(journal.committed + 10, stored(got[10:]))
        account = journal.account()
        assert account.outcomes == {STORED: 10}
    async with open_journal(tmp_path, CAP) as journal:
        assert journal.account() == account
        assert [each.bodies for each in await journal.read(1, 0.0)] == [[b"10"]]
