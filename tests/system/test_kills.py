"""SIGKILL at random moments under load: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

Serve = Callable[..., Any]
LEFT = ("stored", "event", "duplicate", "dead_letter", "dropped", "pending")
_AT_ONCE = 10
_LONGEST_LIFE_S = 0.7
"""From the first byte that is sent: what it sends is on the bus, joined, inserted and committed by then."""
_COUNTS = "SELECT count(), uniqExact(request_id), sum(length(attempts.attempt_id)) FROM lineage"


@dataclass
class _Load:
    """What is still to be sent: lines, as the kernel has them no longer, and posts that were not answered."""

    lines: list[bytes]
    bodies: list[bytes]
    rng: random.Random
    posts_answered: int = 0
    moments: list[float] = field(default_factory=list)

    def live_and_die(self, process: Any, share: int) -> None:
        """Send a share until the process is killed, at a random moment; what was not answered is sent again."""
        moment_s = self.rng.uniform(0.0, _LONGEST_LIFE_S)
        self.moments.append(moment_s)
        killer = threading.Timer(moment_s, process.process.kill)
        killer.start()
        with contextlib.suppress(httpx.HTTPError, OSError):
            for first in range(0, share, _AT_ONCE):
                self.send(process, self.lines[first : first + _AT_ONCE])
                self.post(process)
        killer.join()
        process.process.wait()

    def send(self, process: Any, lines: list[bytes]) -> None:
        process.send(*lines)

    def post(self, process: Any) -> None:
        if not self.bodies:
            return
        some = self.bodies[:_AT_ONCE]
        if process.post(b"[" + b",".join(some) + b"]") == 200:
            del self.bodies[: len(some)]
            self.posts_answered += len(some)


def _check(process: Any, load: _Load) -> dict[str, Any]:
    """After a restart: the account reconciles, holds all that was acknowledged, and each lineage is there once."""
    status: dict[str, Any] = process.status()
    for row in status["sources"].values():
        assert row["received"] == sum(row[name] for name in LEFT), (status, load.moments)
    assert status["sources"]["kong"]["received"] >= load.posts_answered, load.moments
    rows, ids, _ = _counts(process)
    assert rows == ids, load.moments
    return status


def _counts(process: Any) -> list[int]:
    query = {"query": f"{_COUNTS} FORMAT JSONCompact"}
    answer = httpx.get(process.addresses["read_url"], params=query, trust_env=False, timeout=60)
    return [int(number) for number in json.loads(answer.text)["data"][0]]


def _survive(serve: Serve, lines: list[bytes], bodies: list[bytes], kills: int, seed: int) -> None:
    load = _Load(list(lines), list(bodies), random.Random(seed))
    settings = {"store": {"batch_age_s": 0.05, "batch_rows": 40}, "window_s": 1}
    process = serve(**settings)
    for life in range(kills):
        load.live_and_die(process, share=-(-len(load.lines) // (kills - life)))
        process = serve(process.data_dir, **settings)
        received = _check(process, load)["sources"]["haproxy"]["received"]
        load.lines = lines[received:]  # one sender's datagrams are taken in order
    _finish(process, load, len(lines), len(bodies))


def _finish(process: Any, load: _Load, lines: int, bodies: int) -> None:
    """Send what is left, and wait until all is stored."""
    for first in range(0, len(load.lines), 100):
        load.send(process, load.lines[first : first + 100])
    while load.bodies:
        load.post(process)

    def is_settled(status: dict[str, Any]) -> bool:
        rows = status["sources"]
        whole = rows["haproxy"]["received"] >= lines and rows["kong"]["received"] >= bodies
        return whole and not any(row["pending"] for row in rows.values())

    process.wait_for(is_settled)
    status = _check(process, load)
    stored = {name: status["sources"][name]["stored"] for name in ("haproxy", "kong")}
    assert stored == {"haproxy": lines, "kong": bodies}, (status, load.moments)
    deadline = time.monotonic() + 30
    while _counts(process) != [lines, lines, bodies]:
        assert time.monotonic() < deadline, (_counts(process), load.moments)
        time.sleep(0.1)  # between two questions, not instead of one
    assert process.stop() == 0


def test_twenty_kills_at_random_moments_lose_nothing_and_double_nothing(
    serve: Serve, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    _survive(serve, haproxy_lines, kong_bodies, kills=20, seed=20)


@pytest.mark.soak
def test_two_hundred_kills_at_random_moments_lose_nothing_and_double_nothing(
    serve: Serve, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    _survive(serve, haproxy_lines, kong_bodies, kills=200, seed=time.time_ns())
