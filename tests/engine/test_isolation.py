"""A record that our own code stumbles over costs nobody else anything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from pipeline.contracts import MOST_PER_ID, Batch, LookupKey
from pipeline.engine.progress import Progress
from pipeline.engine.writing import WriteStage
from pipeline.errors import StoreUnavailable
from pipeline.join.group import Group
from pipeline.model import DeadLetter, EdgeRecord, GatewayRecord, Lineage, OutcomeKind
from pipeline.sinks.memory import MemoryStore
from pipeline.sinks.refused import REASON, dead_letters_of

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]
INTERNAL = (OutcomeKind.DEAD_LETTER, "internal_error")
STORED = (OutcomeKind.STORED, "")
SECRET = "what-the-client-wrote"

AT_ADD = {"gateway_request_id": ["no", "text"]}
AT_PACK = {"path": "\ud800" + SECRET}
AT_UNPACK = {"retries": SECRET, "gateway_request_id": None, "termination": "sH--"}
AT_PLACE = {"request_start_us": "soon " + SECRET}
AT_SETTLE = {"status": SECRET}


def _broken(edge: MakeEdge, fields: dict[str, Any]) -> EdgeRecord:
    return edge(f"edge-made-id-{SECRET}", **fields)


@pytest.mark.parametrize(
    ("fields", "with_half"),
    [
        (AT_ADD, False),
        (AT_ADD, True),
        (AT_PACK, False),  # with its half it is never packed, and the store refuses it
        (AT_PLACE, False),
        (AT_PLACE, True),
        (AT_SETTLE, False),
        (AT_SETTLE, True),
    ],
)
async def test_a_record_that_cannot_be_handled_is_dead_lettered_and_its_neighbours_are_stored(
    process: Any, edge: MakeEdge, attempt: MakeAttempt, fields: dict[str, Any], with_half: bool
) -> None:
    await process.give(edge("edge-made-id-0001"), attempt("kong-1", "edge-made-id-0001"))
    await process.give(_broken(edge, fields))
    if with_half:
        await process.give(attempt("kong-x", f"edge-made-id-{SECRET}"))
    await process.give(edge("edge-made-id-0002"), attempt("kong-2", "edge-made-id-0002"))
    await process.read_empty()
    left = process.left()
    assert left[INTERNAL] == len(process.store.dead_letters) >= 1
    assert left[STORED] + left[INTERNAL] == 5 + with_half
    assert {row.outcome for row in process.store.lineages if row.request_id[-1].isdigit()} == {"complete"}


async def test_what_waited_and_cannot_be_read_back_is_dead_lettered_when_its_window_ends(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    await process.give(edge("edge-made-id-0001"), _broken(edge, {"client_ip": 7}))
    await process.give(attempt("kong-1", "edge-made-id-0001"))
    await process.read_empty()
    assert process.left() == {STORED: 2, INTERNAL: 1}
    (letter,) = process.store.dead_letters
    assert (letter.reason, letter.detail) == ("internal_error", "cannot be read back")
    assert '"client_ip":7' in letter.body


async def test_the_log_says_where_it_failed_once_and_nothing_of_the_record(
    process: Any, edge: MakeEdge, attempt: MakeAttempt, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        await process.give(
            edge(f"edge-made-id-{number}", path=SECRET, flags=7, gateway_request_id=f"{number:032x}")
        )
        await process.give(attempt(f"{number:032x}", f"edge-made-id-{number}"))
    with caplog.at_level(logging.DEBUG):
        await process.read_empty()
    assert process.left() == {INTERNAL: 100}
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 1
    assert "TypeError in " in told[0].getMessage()
    assert 'lineage_flags.py", line' in told[0].getMessage()
    assert SECRET not in caplog.text


class _Away(MemoryStore):
    """A store that does not answer for a while, then fails for good where it is told to."""

    def __init__(self, *, away: int, then: Exception | None = None) -> None:
        super().__init__()
        self.away = away
        self.then = then

    async def find_stored(
        self, keys: Sequence[LookupKey], *, most_per_id: int = MOST_PER_ID
    ) -> list[Lineage]:
        self._answer()
        return await super().find_stored(keys, most_per_id=most_per_id)

    async def write(self, batch: Batch) -> list[DeadLetter]:
        self._answer()
        return await super().write(batch)

    def may_hold(self, bucket_s: int) -> bool:  # noqa: ARG002 -- asked for anything, it must look
        return True

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        if self.then is not None:
            raise self.then


async def test_a_store_that_is_away_makes_no_dead_letters(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    process.store = _Away(away=3)
    await process.give(edge("edge-made-id-0001"), attempt("kong-1", "edge-made-id-0001"))
    await process.read_empty()
    assert process.left() == {STORED: 2}


async def test_a_disk_that_fails_ends_the_engine_and_commits_nothing(process: Any, edge: MakeEdge) -> None:
    process.store = _Away(away=0, then=OSError(28, "No space left on device"))
    await process.give(edge("edge-made-id-0001"))
    with pytest.raises(ExceptionGroup) as caught:
        await process.read_empty()
    assert caught.group_contains(OSError)
    assert sum(process.bus.account().pending.values()) == 1


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), MemoryError()])
async def test_what_the_machine_fails_at_is_no_fault_of_the_record(
    process: Any, edge: MakeEdge, error: Exception
) -> None:
    still_to_come = [error]

    class Bucketless(EdgeRecord, frozen=True):
        """Fails once, where its place in the store is asked for, as code does on a machine without memory."""

        def __getattribute__(self, name: str) -> object:
            if name == "request_start_us" and still_to_come:
                raise still_to_come.pop()
            return super().__getattribute__(name)

    record = edge("edge-made-id-0001")
    failing = Bucketless(*(getattr(record, name) for name in EdgeRecord.__struct_fields__))
    stage = WriteStage(bus=process.bus, store=process.store, clock=process.clock, progress=Progress())
    draft = process.draft()
    draft.groups = [Group([failing], [], "window", look_up=False)]
    with pytest.raises(type(error)):
        await stage.write(draft)
    assert process.store.dead_letters == []


async def test_copies_of_a_record_that_cannot_be_handled_leave_with_it(process: Any, edge: MakeEdge) -> None:
    broken = _broken(edge, AT_SETTLE)
    await process.give(broken, broken, broken)
    await process.read_empty()
    assert process.left() == {INTERNAL: 3}


async def test_what_still_waits_and_cannot_be_shown_is_not_buried_yet(process: Any, edge: MakeEdge) -> None:
    await process.give(_broken(edge, AT_SETTLE))
    (delivery,) = await process.bus.read(10, 0.0)
    (record,) = process.reader.records.values()
    stage = WriteStage(bus=process.bus, store=process.store, clock=process.clock, progress=Progress())
    draft = process.draft()
    draft.shown = [
        Group([msgspec.structs.replace(record, offset=delivery.offset)], [], "pending", look_up=False)
    ]
    await stage.write(draft)
    assert process.store.dead_letters == process.store.lineages == []
    assert sum(process.bus.account().pending.values()) == 1


class _Refusing(MemoryStore):
    """A store that does not take the rows of one path for what they hold."""

    async def write(self, batch: Batch) -> list[DeadLetter]:
        rows = batch.all_lineages()
        refused = [row for row in rows if row.edge and row.edge.path == "/refused"]
        letters = [letter for row in refused for letter in dead_letters_of(row, "cannot_encode")]
        taken = [row for row in rows if row not in refused]
        await super().write(Batch(taken, batch.events, [*batch.dead_letters, *letters]))
        return letters


async def test_records_of_a_row_that_the_store_refuses_are_accounted_for_as_dead_letters(
    process: Any, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    process.store = _Refusing()
    await process.give(edge("edge-made-id-0001"), attempt("kong-1", "edge-made-id-0001"))
    await process.give(edge("edge-made-id-0002", path="/refused"), attempt("kong-2", "edge-made-id-0002"))
    await process.read_empty()
    assert process.left() == {STORED: 2, (OutcomeKind.DEAD_LETTER, REASON): 2}
    assert len(process.store.dead_letters) == 2
