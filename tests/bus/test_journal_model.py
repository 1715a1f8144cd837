"""Whatever is done to a journal, it behaves as a list with a mark in it."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.bus.journal import Journal, open_journal
from pipeline.errors import BusFull
from pipeline.model import Delivery, Outcome, OutcomeKind, Source

CAP = 2**20
KINDS = [OutcomeKind.STORED, OutcomeKind.EVENT, OutcomeKind.DEAD_LETTER]


@dataclass
class Model:
    """All that was kept, how far it was read and committed, and what became of it."""

    base: int
    records: list[tuple[Source, bytes]] = field(default_factory=list)
    next: int = 0
    committed: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    def check(self, journal: Journal) -> None:
        """Compare everything that can be asked."""
        outcomes, pending, *_ = journal.account()
        assert outcomes == self.outcomes
        owners = Counter(source for source, _ in self.records[self.committed :])
        assert pending == {source: owners[source] for source in Source}
        assert journal.committed == self.base + self.committed
        assert journal.end == self.base + len(self.records)


SIZES = st.lists(st.sampled_from([0, 1, 100, 3_000, 40_000]), max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(list(Source)), SIZES),
        st.tuples(st.just("append"), st.sampled_from(list(Source)), SIZES),
        st.tuples(st.just("read"), st.integers(1, 12), st.none()),
        st.tuples(st.just("commit"), st.integers(0, 15), st.sampled_from(KINDS)),
        st.tuples(st.just("drop"), st.sampled_from(list(Source)), st.integers(1, 9)),
        st.tuples(st.just("reopen"), st.none(), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.sampled_from([None, b"k" * 32]))
def test_a_journal_behaves_as_a_list_with_a_mark(steps: list[tuple[str, object, object]], key: bytes) -> None:
    with TemporaryDirectory() as directory:
        asyncio.run(walk(Path(directory), steps, key))


async def walk(directory: Path, steps: list[tuple[str, object, object]], key: bytes | None) -> None:
    """Do the steps to a journal and to the model."""
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(open_journal(directory, CAP, key))
        model = Model(journal.committed)
        for number, (step, what, how) in enumerate(steps):
            if step == "append":
                await append(journal, model, what, [b"%d:" % number + b"x" * size for size in how])  # type: ignore[arg-type,attr-defined]
            elif step == "read":
                await read(journal, model, what)  # type: ignore[arg-type]
            elif step == "commit":
                await commit(journal, model, what, how)  # type: ignore[arg-type]
            elif step == "drop":
                journal.count_drop(what, "kernel", how)  # type: ignore[arg-type]
                model.outcomes[Outcome(what, OutcomeKind.DROPPED, "kernel")] += how  # type: ignore[arg-type,operator]
            else:
                await stack.aclose()
                journal = await stack.enter_async_context(open_journal(directory, CAP, key))
                model.next = model.committed
            model.check(journal)
        while model.next < len(model.records):
            await read(journal, model, 1000)
        assert await journal.read(1, 0.0) == []


async def append(journal: Journal, model: Model, source: Source, bodies: list[bytes]) -> None:
    try:
        await journal.append(Delivery(source, bodies, 1, "peer"))
    except BusFull:
        pending = model.records[model.committed :]
        assert sum(len(body) for _, body in pending) > CAP // 2, "refused though half of it is free"
    else:
        model.records += [(source, body) for body in bodies]


async def read(journal: Journal, model: Model, limit: int) -> None:
    got = await journal.read(limit, 0.0)
    found = [(each.source, body) for each in got for body in each.bodies]
    assert found == model.records[model.next : model.next + len(found)]
    assert found or model.next == len(model.records)
    position = model.base + model.next
    for each in got:
        assert each.offset == position
        position += len(each.bodies)
    assert len(found) - len(got[-1].bodies) < limit if got else True
    model.next += len(found)


async def commit(journal: Journal, model: Model, count: int, kind: OutcomeKind) -> None:
    passed = model.records[model.committed : model.committed + count]
    outcomes = Counter(Outcome(source, kind, "r") for source, _ in passed)
    await journal.commit(journal.committed + len(passed), outcomes)
    model.outcomes += outcomes
    model.committed += len(passed)
    model.next = max(model.next, model.committed)
