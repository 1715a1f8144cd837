"""The ledger's rows are exact whenever they are taken, written late, twice, or not at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bus.memory import MemoryBus
from pipeline.clock import ManualClock
from pipeline.contracts import Batch
from pipeline.engine.ledger import Counted, LedgerKeeper, account_rows
from pipeline.errors import ConfigError, StoreUnavailable
from pipeline.model import Delivery, LedgerRow, Outcome, OutcomeKind, Source
from pipeline.sinks.memory import MemoryStore

MINUTE_NS = 60 * 10**9
T0_NS = 1_795_460_220 * 10**9
"""A whole minute."""
STORED = Outcome(Source.HAPROXY, OutcomeKind.STORED)
LEFT = ("stored", "event", "duplicate", "dead_letter", "dropped", "pending")


class Desk:
    """A bus, a clock and a store that can be away, with a keeper between them; a new keeper is a restart."""

    def __init__(self) -> None:
        self.bus, self.clock, self.store = MemoryBus(), ManualClock(T0_NS), MemoryStore()
        self.is_away = False
        self.refused = 0
        self.restart()

    def restart(self) -> None:
        self.keeper = LedgerKeeper(
            accounts=self.bus.accounts,
            write=self._write,
            clock=self.clock,
            process="process-1",
            counted=lambda: [Counted("kong", "refused", "http_log:too_large", self.refused)],
        )

    async def _write(self, rows: Sequence[LedgerRow]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        await self.store.write(Batch((), (), (), rows))

    async def receive(self, count: int) -> None:
        await self.bus.append(Delivery(Source.HAPROXY, [b"line"] * count, 0, ""))

    async def commit(self, count: int) -> None:
        await self.bus.commit(self.bus.committed + count, {STORED: count})

    async def do(self, step: str, count: int) -> None:
        """Let one thing happen, by its name."""
        pending = self.bus.account().pending[Source.HAPROXY]
        match step:
            case "receive":
                await self.receive(count)
            case "commit":
                await self.commit(min(count, pending))
            case "drop":
                self.bus.count_drop(Source.KONG, "bus_full", count)
            case "turn":
                self.turn(count / 30)
            case "look":
                self.keeper.look()
            case "write":
                await self.keeper.write()
            case "kill":
                self.restart()
            case _:
                self.is_away = step == "away"

    def reconciles(self) -> bool:
        """Whether what is written adds up, source by source."""
        sums: Counter[tuple[str, str]] = Counter()
        for (source, kind, _), total in self.totals().items():
            sums[source, kind] += total
        return all(
            sums[source, "received"] == sum(sums[source, way] for way in LEFT)
            for source in ("haproxy", "kong")
        )

    def turn(self, minutes: float) -> None:
        self.clock.turn_to(self.clock.now_ns() + int(minutes * MINUTE_NS))

    def totals(self) -> dict[tuple[str, str, str], int]:
        """Give the last number of each kind, as the store's view sees it."""
        last: dict[tuple[str, str, str], LedgerRow] = {}
        for row in self.store.ledger.values():
            key = (row.source, row.kind, row.reason)
            if key not in last or last[key].minute_s < row.minute_s:
                last[key] = row
        return {key: row.total for key, row in last.items()}

    def minutes(self, kind: str) -> dict[int, int]:
        """Give the numbers of one kind of HAProxy's by minute, counted from the first."""
        return {
            (row.minute_s * 10**9 - T0_NS) // MINUTE_NS: row.total
            for row in self.store.ledger.values()
            if (row.source, row.kind) == ("haproxy", kind)
        }


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), st.integers(1, 9)),
        st.tuples(st.just("commit"), st.integers(1, 9)),
        st.tuples(st.just("drop"), st.integers(1, 9)),
        st.tuples(st.just("turn"), st.integers(1, 90)),
        st.tuples(st.sampled_from(["look", "write", "kill", "away", "back"]), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_after_any_kills_and_outages_the_ledger_says_what_the_account_says(
    steps: list[tuple[str, int]],
) -> None:
    async def live() -> None:
        desk = Desk()
        for step, count in steps:
            await desk.do(step, count)
            assert desk.reconciles()
        desk.is_away = False
        desk.turn(1)
        desk.keeper.look()
        await desk.keeper.write()
        said = {key: total for key, total in account_rows(desk.bus.account()).items() if total}
        assert {key: total for key, total in desk.totals().items() if total} == said

    asyncio.run(live())


async def test_a_minute_in_which_nothing_came_is_written_and_so_told_from_one_in_which_nothing_ran() -> None:
    desk = Desk()
    for _ in range(3):
        desk.keeper.look()
        await desk.keeper.write()
        desk.turn(1)
    assert desk.minutes("received") == {0: 0, 1: 0, 2: 0}


async def test_what_changed_within_a_minute_is_one_row_with_the_last_number() -> None:
    desk = Desk()
    for count in (3, 4):
        await desk.receive(count)
        desk.keeper.look()
        await desk.keeper.write()
        desk.turn(0.3)
    assert desk.minutes("received") == {0: 7}


async def test_minutes_of_an_outage_are_told_apart_when_the_store_is_back() -> None:
    desk = Desk()
    desk.is_away = True
    for count in (3, 4, 5):
        await desk.receive(count)
        desk.keeper.look()
        await desk.keeper.write()
        desk.turn(1)
    assert not desk.store.ledger
    desk.is_away = False
    await desk.keeper.write()
    assert desk.minutes("received") == {0: 3, 1: 7, 2: 12}


async def test_a_look_at_the_end_of_a_minute_is_put_down_to_it() -> None:
    desk = Desk()
    desk.keeper.look()
    await desk.receive(3)
    desk.turn(1)
    desk.keeper.look(back_ns=5 * 10**9)
    await desk.keeper.write()
    assert desk.minutes("received") == {0: 3}


async def test_leaving_writes_the_end() -> None:
    desk = Desk()
    async with desk.keeper:
        await desk.receive(5)
        await desk.commit(5)
        desk.refused = 2
    assert desk.totals()["haproxy", "stored", ""] == 5
    assert desk.totals()["kong", "refused", "http_log:too_large"] == 2
    assert desk.totals()["", "committed", ""] == desk.bus.committed


async def test_what_fails_beside_it_comes_out_as_it_was_and_the_end_is_written() -> None:
    desk = Desk()

    async def start() -> None:
        async with desk.keeper:
            await desk.receive(5)
            raise ConfigError("the port is taken")

    with pytest.raises(ConfigError, match="taken"):
        await start()
    assert desk.totals()["haproxy", "received", ""] == 5


async def test_a_fault_of_its_own_neither_ends_it_nor_what_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engine.ledger._LOOK_S", 0.01)
    desk, again = Desk(), asyncio.Event()
    writes = 0

    async def write(rows: Sequence[LedgerRow]) -> None:
        nonlocal writes
        writes += 1
        if writes == 1:
            raise RuntimeError("nobody foresaw it")
        await desk.store.write(Batch((), (), (), rows))
        again.set()

    async with (
        asyncio.timeout(10),
        LedgerKeeper(accounts=desk.bus.accounts, write=write, clock=desk.clock, process="process-1"),
    ):
        await desk.receive(3)
        await again.wait()
    assert desk.totals()["haproxy", "received", ""] == 3


async def test_what_changes_while_it_is_written_is_written_the_next_time() -> None:
    desk, begun, may_end = Desk(), asyncio.Event(), asyncio.Event()

    async def slowly(rows: Sequence[LedgerRow]) -> None:
        begun.set()
        await may_end.wait()
        await desk.store.write(Batch((), (), (), rows))

    keeper = LedgerKeeper(accounts=desk.bus.accounts, write=slowly, clock=desk.clock, process="process-1")
    await desk.receive(1)
    keeper.look()
    writing = asyncio.create_task(keeper.write())
    await begun.wait()
    await desk.receive(1)
    keeper.look()
    may_end.set()
    await writing
    assert desk.minutes("received") == {0: 1}
    await keeper.write()
    assert desk.minutes("received") == {0: 2}


async def test_an_outage_longer_than_what_is_kept_costs_its_oldest_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.engine.ledger._MOST_UNWRITTEN", 20)
    desk = Desk()
    desk.is_away = True
    for _ in range(50):
        desk.keeper.look()
        await desk.keeper.write()
        desk.turn(1)
    desk.is_away = False
    await desk.keeper.write()
    assert len(desk.store.ledger) == 20
    assert max(desk.minutes("received")) == 49


async def test_a_look_is_never_put_down_to_a_minute_before_that_of_the_last() -> None:
    desk = Desk()
    desk.turn(5)
    await desk.receive(1)
    desk.keeper.look()
    await desk.receive(1)
    desk.keeper.look(back_ns=5 * 10**9)
    await desk.keeper.write()
    assert desk.minutes("received") == {5: 2}


async def test_the_later_of_two_looks_wins_though_the_clock_stood_still() -> None:
    desk = Desk()
    taken = []
    for _ in range(3):
        await desk.receive(1)
        desk.keeper.look()
        await desk.keeper.write()
        taken += [row.taken_ns for row in desk.store.ledger.values() if row.kind == "received" and row.total]
    assert taken == sorted(set(taken))
    assert len(taken) == 3


async def test_a_part_that_went_to_another_process_and_came_back_is_written_anew() -> None:
    """The other wrote another number meanwhile; that ours is as it was does not say that the ledger is."""
    store, clock = MemoryStore(), ManualClock(T0_NS)
    parts: dict[str, list[Counted]] = {"ours": [], "theirs": []}

    def keeper(name: str) -> LedgerKeeper:
        return LedgerKeeper(
            accounts=dict,
            write=lambda rows: store.write(Batch((), (), (), rows)),
            clock=clock,
            process=name,
            counted=lambda: parts[name],
        )

    def holds(name: str, queued: int) -> None:
        part = Counted("spans", "queued", "", queued, "partition-3")
        parts.update({"ours": [], "theirs": []} | {name: [part]})

    ours, theirs = keeper("ours"), keeper("theirs")
    for name, queued in (("ours", 0), ("theirs", 7), ("ours", 0)):
        holds(name, queued)
        clock.turn_to(clock.now_ns() + MINUTE_NS)
        for each in (ours, theirs):
            each.look()
            await each.write()
    rows = sorted(store.ledger.values(), key=lambda row: row.minute_s)
    assert [(row.instance, row.total) for row in rows] == [
        ("partition-3", 0),
        ("partition-3", 7),
        ("partition-3", 0),
    ]
