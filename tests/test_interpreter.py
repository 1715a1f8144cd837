"""Threads that work in bulk stand back behind those that answer."""

import asyncio
import os
import threading

import pytest

from pipeline.interpreter import stand_back
from pipeline.store.thread import OneThread


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def on_a_thread(steps: int) -> list[int]:
    found: list[int] = []

    def act() -> None:
        stand_back(steps)
        found.append(niceness())

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    return found


@pytest.mark.parametrize(("steps", "nicer"), [(0, 0), (5, 5), (99, 99)])
def test_a_thread_stands_back_by_itself(steps: int, nicer: int) -> None:
    before = niceness()
    assert on_a_thread(steps) == [min(19, before + nicer)]
    assert niceness() == before


async def test_the_store_works_behind_those_who_answer() -> None:
    thread = OneThread("store")
    try:
        assert await asyncio.wait_for(thread.run(niceness), 10) == min(19, niceness() + 10)
    finally:
        await thread.close(lambda: None)
