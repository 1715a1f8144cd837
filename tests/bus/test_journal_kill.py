"""A writer is killed at random moments, under load; nothing that it acknowledged may be lost or doubled."""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pipeline.bus.journal import open_journal
from pipeline.contracts import Bus
from pipeline.model import Outcome, OutcomeKind, Source

BodiesOf = Callable[[Bus], Awaitable[list[bytes]]]

WRITER = Path(__file__).with_name("killed_writer.py")
CAP = 2**21


def run_and_kill(directory: Path, run: int, after_lines: int) -> list[list[str]]:
    """Let a writer live until it has said so many lines; gives all that it said."""
    command = [sys.executable, str(WRITER), str(directory), str(run)]
    said: list[bytes] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        for line in writer.stdout:
            said.append(line)
            if len(said) == after_lines:
                writer.kill()
        complaint = writer.stderr.read().decode()
    assert writer.returncode == -9, complaint
    return [line.decode().split() for line in said]


@pytest.mark.parametrize("seed", range(5))
async def test_what_a_killed_writer_acknowledged_is_there_exactly_once(
    tmp_path: Path, seed: int, bodies_of: BodiesOf
) -> None:
    await kill_and_look(tmp_path, seed, bodies_of)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5, 500))
async def test_no_moment_of_a_kill_loses_or_doubles(tmp_path: Path, seed: int, bodies_of: BodiesOf) -> None:
    await kill_and_look(tmp_path, seed, bodies_of)


async def kill_and_look(tmp_path: Path, seed: int, bodies_of: BodiesOf) -> None:
    """Kill the writer of one journal once or twice, then look at all of it."""
    chance = random.Random(seed)
    acked: set[str] = set()
    read: dict[int, str] = {}
    committed = 0
    for run in range(1 + seed % 2):
        said = await asyncio.to_thread(run_and_kill, tmp_path, run, chance.randrange(20, 6000))
        acked |= {words[1] for words in said if words[0] == "acked"}
        for words in said:
            if words[0] == "read":
                offset, name = int(words[1]), words[2]
                assert read.setdefault(offset, name) == name, "an offset names one record for good"
            elif words[0] == "committed":
                assert int(words[1]) > committed
                committed = int(words[1])
    async with open_journal(tmp_path, CAP) as journal:
        assert journal.committed >= committed
        start, end = journal.committed, journal.end
        rest = [body.split(b" ")[0].decode() for body in await bodies_of(journal)]
        account = journal.account()
    assert len(rest) == end - start == sum(account.pending.values())
    before = [name for offset, name in read.items() if offset < start]
    everything = Counter(before + rest)
    assert acked <= set(everything)
    assert set(everything.values()) == {1}

    assert {outcome.kind for outcome in account.outcomes} <= {OutcomeKind.STORED}
    for source in Source:
        mine = [name for name in everything if list(Source)[int(name.split(".")[0][2:]) % 2] is source]
        left = account.outcomes.get(Outcome(source, OutcomeKind.STORED), 0)
        assert left + account.pending[source] == len(mine)
