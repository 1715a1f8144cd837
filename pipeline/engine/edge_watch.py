"""Looks once a minute whether the edge's own counting says that lines of the last minutes are lost."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pipeline.clock import Clock
from pipeline.contracts import Account
from pipeline.errors import PipelineError
from pipeline.store.gaps import EdgeLoss, Gap, gap_document, is_settled, shown_time

_log = logging.getLogger(__name__)

_SECOND_NS = 10**9
_PERIOD_S = 600
_MOST_SHOWN = 20


class EdgeWatch:
    """What is known of the last ten minutes.

    Args:
        ask: Gives the loss of a period from the store, UTC epoch seconds.
        accounts: Gives the bus's accounts: what is behind their committed offsets may still come.
        clock: Says which minutes the last ones are.
        settled_s: Where lines come in no order of offsets: gives the time before which all that was logged is
            stored, UTC epoch seconds; None where another process looks.
    """

    def __init__(
        self,
        ask: Callable[[int, int], Awaitable[EdgeLoss]],
        accounts: Callable[[], Mapping[str, Account]],
        clock: Clock,
        *,
        settled_s: Callable[[], Awaitable[int | None]] | None = None,
    ) -> None:
        self._ask = ask
        self._accounts = accounts
        self._clock = clock
        self._settled_s = settled_s
        self._gaps: list[Gap] = []
        self._looked_s = 0
        self.dropped = 0
        """Lines that HAProxy says it threw away itself."""

    @property
    def missing(self) -> int:
        """Lines that HAProxy counted and that did not come."""
        return sum(gap.missing for gap in self._gaps)

    async def look(self) -> None:
        """Ask the store; what it cannot say now stays as it was."""
        until_s = self._clock.now_ns() // _SECOND_NS
        try:
            is_over = await self._settling(until_s)
            if is_over is None:
                self._gaps, self.dropped, self._looked_s = [], 0, 0
                return
            loss = await self._ask(until_s - _PERIOD_S, until_s)
        except PipelineError as error:
            _log.warning("cannot look for lost lines now: %s", error)
            return
        before = self.missing
        self._gaps = [gap for gap in loss.gaps if is_over(gap)]
        self.dropped = loss.dropped
        self._looked_s = until_s
        if self.missing > before:
            _log.warning("HAProxy counted %d lines in %d s that did not come", self.missing, _PERIOD_S)

    async def _settling(self, until_s: int) -> Callable[[Gap], bool] | None:
        """Find out, before the store is asked, which gaps nothing can come into any more."""
        if self._settled_s is None:
            done = [account.committed for account in self._accounts().values()]
            committed = {offset >> 40: offset for offset in done if offset >= 0}
            return lambda gap: is_settled(gap, committed, until_s)
        settled_s = await self._settled_s()
        return None if settled_s is None else lambda gap: gap.before_us < settled_s * 10**6

    def document(self) -> dict[str, Any]:
        """Give what `status` shows; the gaps of the most recent time first."""
        return {
            "period_s": _PERIOD_S,
            "looked_at": shown_time(self._looked_s * 10**6) if self._looked_s else None,
            "missing": self.missing,
            "dropped_by_edge": self.dropped,
            "gaps": [gap_document(gap) for gap in self._gaps[::-1][:_MOST_SHOWN]],
        }
