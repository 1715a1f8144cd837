"""The demo's own sums: whatever is wrong is found."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.demo.http_listener import Exchange, Reply, http_listener
from pipeline.demo.settled import Questions, Verdict
from pipeline.errors import RetryableError

NOTHING = dict.fromkeys(("received", "stored", "event", "duplicate", "dead_letter", "dropped", "pending"), 0)
BEFORE = {"haproxy": NOTHING | {"received": 5, "stored": 5}, "kong": NOTHING | {"received": 2, "stored": 2}}
AFTER = {
    "haproxy": NOTHING | {"received": 9, "stored": 8, "event": 1},
    "kong": NOTHING | {"received": 5, "stored": 5},
}
ANSWERED = {"a": 200, "b": 503, "c": 429}


@dataclass
class Account:
    """What a server would say."""

    sources: dict[str, dict[str, int]] = field(default_factory=lambda: copy.deepcopy(AFTER))
    rows: dict[str, int] = field(default_factory=lambda: dict(ANSWERED))
    door: int = 200
    questions: Questions | None = None

    async def handle(self, exchange: Exchange) -> Reply:
        if exchange.request.target == "/status":
            body = json.dumps({"sources": self.sources}).encode()
            return Reply(200, [("Content-Length", str(len(body)))], body)
        asked = exchange.request.body.decode()
        rows = [
            {"request_id": one, "status": status} for one, status in self.rows.items() if f"'{one}'" in asked
        ]
        body = "\n".join(json.dumps(row) for row in rows).encode()
        return Reply(self.door, [("Content-Length", str(len(body)))], body)

    async def judge(self) -> Verdict:
        assert self.questions is not None
        return await self.questions.judge(ANSWERED, entries_sent=3, lines_at_least=3, before=BEFORE)


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    account = Account()
    async with http_listener(account.handle) as (host, port):
        account.questions = Questions(f"http://{host}:{port}", f"http://{host}:{port}")
        yield account


async def test_when_all_comes_out_there_is_no_fault(account: Account) -> None:
    verdict = await account.judge()
    assert verdict.faults == ()
    assert "4 edge lines and 3 gateway entries" in verdict.text


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda account: account.rows.pop("b"), "1 answered requests have no lineage, such as b"),
        (lambda account: account.rows.update(c=200), "another status than the client saw, such as c"),
        (
            lambda account: account.sources["kong"].update(received=4, stored=4),
            "3 gateway entries were taken, 2",
        ),
        (
            lambda account: account.sources["haproxy"].update(received=7, stored=6),
            "3 edge lines were sent, 2",
        ),
        (lambda account: account.sources["haproxy"].update(stored=7), "does not sum up"),
        (lambda account: account.sources["kong"].update(stored=4, pending=1), "1 of kong are pending"),
        (lambda account: account.sources["kong"].update(stored=4, dropped=1), "1 of kong are dropped"),
        (
            lambda account: account.sources["haproxy"].update(event=0, dead_letter=1),
            "1 of haproxy are dead_letter",
        ),
    ],
)
async def test_what_does_not_come_out_is_a_fault(
    account: Account, break_it: Callable[[Account], Any], words: str
) -> None:
    break_it(account)
    verdict = await account.judge()
    assert [fault for fault in verdict.faults if words in fault], verdict.faults


async def test_waiting_ends_when_nothing_is_pending_or_time_is_up(account: Account) -> None:
    assert account.questions is not None
    assert await account.questions.wait_stored(lambda: True, 5.0)
    assert not await account.questions.wait_stored(lambda: False, 0.3)
    account.sources["kong"]["pending"] = 1
    assert not await account.questions.wait_stored(lambda: True, 0.3)


async def test_a_door_that_refuses_is_an_error(account: Account) -> None:
    assert account.questions is not None
    account.door = 403
    with pytest.raises(RetryableError, match="403"):
        await account.questions.query("SELECT 1")
