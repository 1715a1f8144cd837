"""The process that `test_journal_kill.py` kills: appends from two loops, reads, commits, until it dies.

Prints `acked <name>` when an append of its own returned, `read <offset> <name>` before what it read is
committed, and `committed <offset>` after. A name is used once, over all runs.
"""

import asyncio
import os
import sys
import threading
from collections import Counter
from itertools import count
from pathlib import Path

from pipeline.bus.journal import Journal, open_journal
from pipeline.errors import BusFull
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

_APPENDERS = 8
_CAP = 2**21


def say(*lines: str) -> None:
    """Write whole lines at once: what is said has been said, whenever the process dies."""
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


async def append_forever(journal: Journal, name: str, source: Source) -> None:
    """Append deliveries of one to three records, and say which were acknowledged."""
    for number in count():
        names = [f"{name}.{number}.{index}" for index in range(1 + number % 3)]
        bodies = [each.encode() + b" " + b"x" * (37 * number % 5000) for each in names]
        while not await is_kept(journal, Delivery(source, bodies, number, name)):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        say(*(f"acked {each}" for each in names))


async def is_kept(journal: Journal, delivery: Delivery) -> bool:
    """Append once; what is refused is sent again under its old name, and may not be there twice."""
    try:
        await journal.append(delivery)
    except BusFull:
        return False
    return True


async def append_from_several(journal: Journal, prefix: str) -> None:
    """Run appenders of both sources on one loop."""
    sources = list(Source)
    async with asyncio.TaskGroup() as group:
        for appender in range(_APPENDERS):
            name = f"{prefix}{appender}"
            group.create_task(append_forever(journal, name, sources[appender % 2]))


async def read_and_commit(journal: Journal) -> None:
    """Commit most of what is read, sometimes in the middle of a delivery."""
    unfinished: list[tuple[int, Source]] = []
    for turn in count():
        for found in await journal.read(20, 1.0):
            names = [body.split(b" ")[0].decode() for body in found.bodies]
            say(*(f"read {offset} {name}" for offset, name in enumerate(names, found.offset)))
            unfinished += [(found.offset + index, found.source) for index in range(len(names))]
        passed = unfinished[: max(0, len(unfinished) - turn % 4)]
        if passed:
            outcomes = Counter(Outcome(source, OutcomeKind.STORED) for _, source in passed)
            offset = passed[-1][0] + 1
            await journal.commit(offset, outcomes)
            say(f"committed {offset}")
            del unfinished[: len(passed)]


async def main(directory: Path, run: str) -> None:
    """Run until killed."""
    async with open_journal(directory, _CAP) as journal:
        other = threading.Thread(
            target=lambda: asyncio.run(append_from_several(journal, f"{run}b")), daemon=True
        )
        other.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(append_from_several(journal, f"{run}a"))
            group.create_task(read_and_commit(journal))


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
