"""Work beside the stages goes on, whatever one turn of it meets."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.engine.periodic import every
from pipeline.errors import StoreUnavailable


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), RuntimeError("nobody foresaw it")])
async def test_a_turn_that_fails_is_said_and_the_next_comes(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    turns, third = 0, asyncio.Event()

    async def act() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise fault
        if turns == 3:
            third.set()

    async with asyncio.timeout(10), every(0.001, act, "counting"):
        await third.wait()
    assert [record.levelname for record in caplog.records if "counting" in record.getMessage()] == [
        "WARNING" if isinstance(fault, StoreUnavailable) else "ERROR"
    ]
