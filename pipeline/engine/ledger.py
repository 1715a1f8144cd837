"""Writes the ledger: what the account says, minute by minute, beside the rows that it speaks of.

*Delivery*: the account of a bus changes in the transaction of its commit and never goes back, so a look is
exact whenever it is taken, and one that is lost is made good by the next. Drops are durable a moment after
they are counted; hence a look is written only at the next one. What cannot be written now is kept and tried
again, up to a day of minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from pipeline.clock import Clock
from pipeline.contracts import Account
from pipeline.errors import PipelineError
from pipeline.model import LedgerRow, OutcomeKind, Source

_log = logging.getLogger(__name__)

_LOOK_S = 10.0
_MINUTE_NS = 60 * 10**9
_MOST_UNWRITTEN = 1440 * 40
"""Rows that wait for a store that is away: a day of them."""

_Key = tuple[str, str, str, str]


class Counted(NamedTuple):
    """A number that is in no account of a bus's."""

    source: str
    kind: str
    reason: str
    """From a closed set."""
    total: int
    instance: str = ""
    """What keeps it beyond the process; empty: the process, since it began."""


def account_rows(account: Account) -> dict[tuple[str, str, str], int]:
    """Give the numbers of an account by source, kind and reason; `received` is the sum of the others."""
    numbers: dict[tuple[str, str, str], int] = {}
    for source in Source:
        numbers[source, "received", ""] = numbers[source, "pending", ""] = account.pending.get(source, 0)
    for (source, kind, reason), count in account.outcomes.items():
        numbers[source, OutcomeKind(kind).value, reason] = count
        numbers[source, "received", ""] += count
    for source, count in account.gone.items():
        if count:
            numbers[source, "messages_gone", "retention"] = count
    if account.committed >= 0:
        numbers["", "committed", ""] = account.committed
    return numbers


async def _nothing() -> None:
    """Do nothing."""


class LedgerKeeper:
    """Looks at the accounts every few seconds, and writes what changed; each minute the state even if not.

    Enter it before what commits, so that its last look, on leaving, sees the end.

    Args:
        accounts: Gives the bus's account by the part that keeps it.
        write: Makes rows durable; may raise what passes.
        clock: Names the minute.
        process: Names this process, for the numbers that begin with it.
        counted: Gives those numbers.
        each_minute: Called about once a minute; may not raise.
    """

    def __init__(
        self,
        *,
        accounts: Callable[[], Mapping[str, Account]],
        write: Callable[[Sequence[LedgerRow]], Awaitable[object]],
        clock: Clock,
        process: str,
        counted: Callable[[], Iterable[Counted]] = tuple,
        each_minute: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._accounts = accounts
        self._write = write
        self._clock = clock
        self._process = process
        self._counted = counted
        self._each_minute = each_minute
        self._written: dict[_Key, int] = {}
        self._minute_s = self._turned_s = 0
        self._taken_ns = 0
        self._unwritten: dict[tuple[int, *_Key], LedgerRow] = {}
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self.written_ns = 0
        """When rows were last made durable, UTC epoch nanoseconds."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="ledger")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.look()
        await self.write()

    def look(self, *, back_ns: int = 0) -> None:
        """Take the numbers as they stand; also to be called when a part is about to go to another process.

        Args:
            back_ns: How long ago the minute was that they are put down to: a look at its end is its own.
        """
        now_ns = self._taken_ns = max(self._clock.now_ns(), self._taken_ns + 1)
        minute_s = max(self._minute_s, (now_ns - back_ns) // _MINUTE_NS * 60)
        is_new = minute_s != self._minute_s
        self._minute_s = minute_s
        before, self._written = self._written, {}  # a part that has gone may have changed when it comes back
        for (instance, source, kind, reason), total in self._numbers():
            key = (instance, source, kind, reason)
            state = kind in {"received", "pending"}
            self._written[key] = total
            if before.get(key) != total or (is_new and state):
                row = LedgerRow(
                    minute_s=minute_s,
                    instance=instance,
                    source=source,
                    kind=kind,
                    reason=reason,
                    total=total,
                    taken_ns=now_ns,
                )
                self._unwritten[minute_s, *key] = row

    async def write(self) -> None:
        """Make durable what was looked at; what fails is tried again with the next."""
        async with self._lock:
            rows = list(self._unwritten.items())
            if not rows:
                return
            try:
                await self._write([row for _, row in rows])
            except PipelineError as error:
                _log.warning("the ledger cannot be written now, %d rows wait: %s", len(rows), error)
                for key, _ in rows[: max(0, len(rows) - _MOST_UNWRITTEN)]:
                    del self._unwritten[key]
                return
            self.written_ns = self._clock.now_ns()
            for key, row in rows:
                if self._unwritten.get(key) is row:
                    del self._unwritten[key]

    async def _run(self) -> None:
        """Look at whole tens of seconds; once a minute do what else is due."""
        self.look()
        self._turned_s = self._minute_s
        while True:
            await asyncio.sleep(_LOOK_S - self._clock.now_ns() / 1e9 % _LOOK_S)
            try:
                await self._turn()
            except Exception as error:  # noqa: BLE001 -- what counts records may not stop what stores them
                _log.error("the ledger failed and goes on: %s", type(error).__name__)

    async def _turn(self) -> None:
        await self.write()
        self.look(back_ns=int(_LOOK_S * 5e8))
        if self._minute_s != self._turned_s:
            self._turned_s = self._minute_s
            await self._each_minute()

    def _numbers(self) -> Iterable[tuple[_Key, int]]:
        for instance, account in self._accounts().items():
            for (source, kind, reason), total in account_rows(account).items():
                yield (instance, source, kind, reason), total
        for one in self._counted():
            yield (one.instance or self._process, one.source, one.kind, one.reason), one.total
