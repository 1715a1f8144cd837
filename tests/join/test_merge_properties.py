"""However records come, the store ends with the same lineages and every record is in exactly one place.

Real joiner, settling and write stage on a bus and a store in memory; records are shuffled, copied, cut into
batches, hours late, shown while they wait, and the process is killed before a write or between write and commit.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.bus.memory import MemoryBus
from pipeline.clock import ManualClock
from pipeline.engine import Progress
from pipeline.engine.draft import Draft
from pipeline.engine.writing import WriteStage
from pipeline.formats.text import identity_hash
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.join.resolve import resolve
from pipeline.model import Delivery, EdgeRecord, GatewayRecord, Lineage, Outcome, OutcomeKind, Source, Timers
from pipeline.sinks.memory import MemoryStore

T0_US = 1_795_460_243_000_000
WINDOW_S = 30
Record = EdgeRecord | GatewayRecord


class _Killed(BaseException):
    """The process ends here."""


@dataclass
class _MortalBus:
    """A bus whose process can be killed between a write and its commit."""

    bus: MemoryBus
    dies: bool = False

    async def commit(self, offset: int, outcomes: Mapping[Outcome, int]) -> None:
        if self.dies:
            raise _Killed
        await self.bus.commit(offset, outcomes)

    @property
    def committed(self) -> int:
        return self.bus.committed


@dataclass
class _Request:
    """What one request leaves behind."""

    edges: list[EdgeRecord] = field(default_factory=list)
    attempts: list[GatewayRecord] = field(default_factory=list)


@st.composite
def _requests(draw: st.DrawFn) -> list[_Request]:
    requests = []
    for number in range(draw(st.integers(1, 4))):
        request_id, start_us = f"edge-made-id-{number:04}", T0_US + number * 1_000_000
        count = draw(st.integers(0, 3))
        ids = [f"{number:016x}{index:016x}" for index in range(count)]
        request = _Request()
        for node in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
            captured = draw(st.sampled_from([None, *ids]))
            request.edges.append(
                EdgeRecord(
                    rec_id=identity_hash(request_id, str(node)),
                    offset=0,
                    request_id=request_id,
                    start_us=start_us + node,
                    gateway_request_id=captured,
                    timers=Timers(0, 0, 0, 6, 0, 6, 0, 0),
                    status=200,
                    termination=draw(st.sampled_from(["----", "sH--", "PR--"])),
                    server="kong1",
                    method="GET",
                    path="/",
                    retries=draw(st.integers(0, 2)),
                )
            )
        for index, gateway_id in enumerate(ids):
            claimed = draw(st.sampled_from([(), ("claimed-by-many",)]))
            request.attempts.append(
                GatewayRecord(
                    attempt_id=identity_hash(gateway_id),
                    offset=0,
                    request_ids=(*claimed, request_id),
                    started_us=start_us + index,
                    gateway_request_id=gateway_id,
                    status=200,
                    method="GET",
                    path="/",
                )
            )
        requests.append(request)
    return requests


@dataclass
class _Run:
    """One life after another of a process on one bus and one store."""

    limits: JoinLimits
    bus: MemoryBus = field(default_factory=MemoryBus)
    store: MemoryStore = field(default_factory=MemoryStore)
    log: list[tuple[Record, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.base = self.bus.end
        self.start()

    def start(self) -> None:
        self.joiner = Joiner(self.limits)
        self.mortal = _MortalBus(self.bus)
        self.stage = WriteStage(
            bus=self.mortal,  # type: ignore[arg-type] # the stage asks no more of a bus
            store=self.store,
            clock=ManualClock(),
            progress=Progress(),
        )

    async def take(self, record: Record, arrival_ns: int) -> None:
        source = Source.HAPROXY if isinstance(record, EdgeRecord) else Source.KONG
        offset = self.bus.end
        await self.bus.append(Delivery(source, [b""], arrival_ns, ""))
        self.log.append((msgspec.structs.replace(record, offset=offset), arrival_ns))
        self.joiner.add(*self.log[-1])

    async def write(self, now_ns: int) -> None:
        await self.stage.write(Draft(0, groups=self.joiner.due(now_ns)))

    async def show(self, now_ns: int) -> None:
        """Write what waits as pending, beside what is due."""
        draft = Draft(0, groups=self.joiner.due(now_ns))
        draft.shown = self.joiner.unfinished(now_ns, 1000)
        await self.stage.write(draft)

    async def restart(self) -> None:
        """Begin again at the committed offset, as a new process would."""
        self.start()
        for record, arrival_ns in self.log[self.bus.committed - self.base :]:
            self.joiner.add(record, arrival_ns)

    async def end(self) -> None:
        await self.stage.write(Draft(0, groups=self.joiner.flush()))


def _bare(row: Lineage) -> Lineage:
    """Leave out what tells how a row came about, not what it says."""
    flags = tuple(flag for flag in row.flags if flag != "late")
    edge = msgspec.structs.replace(row.edge, offset=0) if row.edge else None
    attempts = tuple(msgspec.structs.replace(attempt, offset=0) for attempt in row.attempts)
    return msgspec.structs.replace(row, rev=0, flags=flags, edge=edge, attempts=attempts)


async def _live(data: st.DataObject, requests: list[_Request], limits: JoinLimits) -> _Run:
    records: list[Record] = [one for request in requests for one in (*request.edges, *request.attempts)]
    copies = data.draw(st.lists(st.sampled_from(records), max_size=4)) if records else []
    order = data.draw(st.permutations(records + copies))
    run, now_ns = _Run(limits), T0_US * 1000
    for record in order:
        now_ns += data.draw(st.sampled_from([0, 10**9, 20 * 10**9, 3600 * 10**9]))
        await run.take(record, now_ns)
        match data.draw(
            st.sampled_from(
                [
                    "go on",
                    "go on",
                    "write",
                    "show",
                    "show and be killed",
                    "kill before write",
                    "kill after write",
                ]
            )
        ):
            case "write":
                await run.write(now_ns)
            case "show":
                await run.show(now_ns)
            case "show and be killed":
                await run.show(now_ns)
                await run.restart()
            case "kill before write":
                run.joiner.due(now_ns)
                await run.restart()
            case "kill after write":
                run.mortal.dies = True
                try:
                    await run.write(now_ns)
                except _Killed:
                    await run.restart()
                run.mortal.dies = False
    await run.end()
    return run


def _check_account(run: _Run, requests: list[_Request]) -> None:
    account = run.bus.account()
    outcomes, pending = account.outcomes, account.pending
    assert not any(pending.values())
    assert sum(outcomes.values()) == len(run.log)
    by_kind = Counter[OutcomeKind]()
    for outcome, count in outcomes.items():
        by_kind[outcome.kind] += count
    distinct = sum(len(request.edges) + len(request.attempts) for request in requests)
    assert by_kind[OutcomeKind.STORED] == distinct
    assert by_kind[OutcomeKind.DUPLICATE] == len(run.log) - distinct


_SETTINGS = settings(
    max_examples=int(os.environ.get("JOIN_EXAMPLES", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@_SETTINGS
@given(st.data(), _requests())
def test_any_order_any_copies_any_kills_give_the_same_lineages(
    data: st.DataObject, requests: list[_Request]
) -> None:
    run = asyncio.run(_live(data, requests, JoinLimits(WINDOW_S * 10**9, 1000, 64, 10**9)))
    expected = [row for request in requests for row in resolve(request.edges, request.attempts)]
    found = {_bare(row).rec_id: _bare(row) for row in run.store.lineages}
    assert found == {row.rec_id: _bare(row) for row in expected}
    assert len(run.store.lineages) == len(expected)
    _check_account(run, requests)


@_SETTINGS
@given(st.data(), _requests())
def test_a_full_memory_loses_nothing_and_doubles_nothing(
    data: st.DataObject, requests: list[_Request]
) -> None:
    run = asyncio.run(_live(data, requests, JoinLimits(WINDOW_S * 10**9, 1, 64, 10**9)))
    rows = run.store.lineages
    assert sorted(row.edge.rec_id for row in rows if row.edge) == sorted(
        edge.rec_id for request in requests for edge in request.edges
    )
    assert sorted(attempt.attempt_id for row in rows for attempt in row.attempts) == sorted(
        attempt.attempt_id for request in requests for attempt in request.attempts
    )
    _check_account(run, requests)
