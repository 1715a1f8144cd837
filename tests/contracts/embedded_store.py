"""An embedded store in a process of its own, asked over pipes: the engine leaves threads and files behind.

As a program it opens the stores that it is told to, one at a time, and does with each what it is asked.
"""

from __future__ import annotations

import asyncio
import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class EmbeddedStore:
    """Passes on whatever a `Store` is asked."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Any:
        if name in {"may_hold", "is_shared", "pack"}:
            return self.ask(name) if name == "is_shared" else lambda *given: self.ask(name, *given)

        async def passed_on(*given: Any, **named: Any) -> Any:
            return await asyncio.to_thread(lambda: self.ask(name, *given, **named))

        return passed_on

    def ask(self, name: str, *given: Any, **named: Any) -> Any:
        """Ask the process; raises what it raised."""
        pickle.dump((name, given, named), self._process.stdin)
        self._process.stdin.flush()
        answer, error = pickle.load(self._process.stdout)  # noqa: S301 -- our own process
        if error is not None:
            raise error
        return answer


@contextmanager
def embedded_stores() -> Iterator[EmbeddedStore]:
    """Start the process; `ask("open", dsn)` and `ask("close")` before and after each store."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield EmbeddedStore(process)
        process.stdin.close()


async def main() -> None:
    """Do as asked until standard input ends."""
    from pipeline.sinks.clickhouse import open_sink  # noqa: PLC0415 -- the engine is for this process alone

    opened: Any = None
    store: Any = None
    while True:
        try:
            name, given, named = pickle.load(sys.stdin.buffer)  # noqa: S301 -- our own process
        except EOFError:
            return
        answer = error = None
        try:
            if name == "open":
                opened = open_sink(*given)
                store = await opened.__aenter__()
            elif name == "close":
                await opened.__aexit__(None, None, None)
            else:
                answer = getattr(store, name)
                if callable(answer):
                    answer = answer(*given, **named)
                if inspect.isawaitable(answer):
                    answer = await answer
        except Exception as raised:  # noqa: BLE001 -- told to who asked
            error = raised
        pickle.dump((answer, error), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main())
