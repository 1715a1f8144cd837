"""Five things to try, with ids of this very run; two of them the demo shows itself."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.demo.serve_process import COMMAND
from pipeline.demo.traffic import Seen


class Step(NamedTuple):
    """One thing to try."""

    words: str
    command: str
    """To be copied into a shell."""
    arguments: tuple[str, ...]
    """The same, for `take`."""


def tour(seen: Seen, data_dir: Path) -> list[Step]:
    """Make the steps; those for which nothing happened in this run are left out."""
    steps = []
    for wish, words in (
        ("edge retry twice", "one request, three attempts: HAProxy's own line knows only the last"),
        ("spoofed id", "a client that brought its own ids: evidence, never joined on"),
    ):
        if ids := seen.by_wish.get(wish):
            steps.append(_hoptrail(words, data_dir, "trace", ids[-1]))
    steps += [
        _hoptrail("what failed, wherever", data_dir, "search", "--status", "5xx", "--limit", "10"),
        _hoptrail("a partner over its limit", data_dir, "search", "--consumer", "acme", "--status", "429"),
        _hoptrail("sources, lag, and the account of every record", data_dir, "status"),
    ]
    return steps


def in_sql(read_url: str) -> str:
    """Give a command that asks the read door."""
    sql = (
        "SELECT outcome, match, missing, count() AS requests FROM lineage GROUP BY ALL ORDER BY requests DESC"
    )
    query = shlex.quote(sql + " FORMAT PrettyCompactMonoBlock")
    return f"curl -s {shlex.quote(read_url + '/?database=hoptrail')} --data-binary {query}"


def _hoptrail(words: str, data_dir: Path, *arguments: str) -> Step:
    given = (*arguments, "--data-dir", str(data_dir))
    return Step(words, shlex.join((_program(), *given)), given)


def _program() -> str:
    """Give the command as this user would type it."""
    beside = Path(sys.executable).with_name("hoptrail")
    on_path = shutil.which("hoptrail")
    if on_path is not None and (not beside.exists() or Path(on_path).resolve() == beside.resolve()):
        return "hoptrail"
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)


async def take(arguments: Sequence[str]) -> int:
    """Run a `hoptrail` command with its output where ours goes; gives its exit code."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HOPTRAIL_")}
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, env=ours)
    return await process.wait()
