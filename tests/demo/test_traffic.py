"""Live traffic through an edge: every kind of trouble really happens, and both logs tell of it."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pipeline.demo.edge import stand_in_edge
from pipeline.demo.edge_line import EdgeLines
from pipeline.demo.edge_rules import load_rules
from pipeline.demo.haproxy_process import find_haproxy, running_haproxy
from pipeline.demo.traffic import WISHES, Seen, Traffic, fate_by_argument
from pipeline.resources import resource

if TYPE_CHECKING:
    from conftest import Bench

CONFIG = resource("deploy/haproxy/haproxy.cfg")
SECRETS = {"mobile": "mobile-key", "acme": "acme-key", "old_key": "long-gone", "jwt": "signing-secret"}
TROUBLES = [wish for wish in WISHES if not wish.weight]


class Datagrams(asyncio.DatagramProtocol):
    """Keeps request lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def datagram_received(self, data: bytes, _: object) -> None:
        message = data.partition(b" - - ")[2]
        if message.startswith(b'{"v":"hap-req/1"'):
            self.lines.append(json.loads(message))


class Told(NamedTuple):
    """What a run of traffic left behind."""

    seen: Seen
    lines: dict[str, dict[str, Any]]
    """The edge's, by request id."""
    entries: dict[str, list[dict[str, Any]]]
    """The gateway's, by request id."""

    def of(self, wish: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Give line and entries of every answered request of a kind; fails when there is none."""
        ids = self.seen.by_wish[wish]
        assert ids, f"no {wish} was answered"
        return [(self.lines[one], self.entries[one]) for one in ids]


@pytest.fixture
def fate() -> Any:
    return fate_by_argument(0.05)


@pytest.fixture(params=["stand-in", pytest.param("haproxy", marks=pytest.mark.haproxy)])
async def told(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path) -> AsyncIterator[Told]:
    """Run traffic until every kind has come round, through either edge."""
    loop = asyncio.get_running_loop()
    transport, log = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    syslog = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    async with AsyncExitStack() as stack:
        stack.callback(transport.close)
        if request.param == "haproxy":
            binary = find_haproxy()
            if binary is None:
                pytest.skip("there is no haproxy binary on the PATH or in /usr/sbin")
            edge = running_haproxy(
                binary,
                log=syslog,
                node="edge-1",
                gateways=bench.ports,
                status_port=bench.status_port,
                output=tmp_path / "haproxy.log",
            )
        else:
            lines = EdgeLines(CONFIG, "edge-1")
            edge = stand_in_edge(load_rules(CONFIG), lines, bench.ports, syslog)
        traffic = Traffic(await stack.enter_async_context(edge), SECRETS, seed=1)
        seen = traffic.seen
        await traffic.run(
            rate=80,
            until=lambda: (
                all(seen.by_wish[wish.name] for wish in TROUBLES if not wish.leaves_after_s) and seen.left > 0
            ),
            every_trouble_s=2.0,
        )
        await bench.until(lambda: len(log.lines) >= seen.sent)
        lost = len(seen.by_wish["lost half"])
        await bench.until(lambda: bench.log.sent == bench.gateway.begun - lost)
        entries: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for entry in bench.taker.entries:
            entries[entry["request"]["headers"]["x-request-id"]].append(entry)
        yield Told(seen, {line["id"]: line for line in log.lines}, entries)


async def test_all_that_a_demo_promises_happens_and_is_logged(told: Told) -> None:
    seen = told.seen
    assert seen.unanswered == 0
    assert seen.sent == len(seen.answered) + seen.left == len(told.lines)
    for request_id, status in seen.answered.items():
        assert told.lines[request_id]["st"] == status
    for line, entries in told.of("edge retry twice"):
        assert [entry["response"]["status"] for entry in entries] == [503, 503, 200]
        assert (line["rc"].lstrip("+"), line["kong_rid"]) == ("2", entries[-1]["request"]["id"])
    for line, _ in told.of("spoofed id"):
        assert line["c_rid"] == "ticket-4711-from-the-client"
    for line, entries in told.of("slow upstream"):
        assert (line["st"], entries[0]["source"]) == (504, "kong")
    limited = [line["st"] for line, _ in told.of("rate limit")]
    assert {200, 429} == set(limited)
    for kind, status in (
        ("expired key", 401),
        ("expired token", 401),
        ("wrong group", 403),
        ("no route", 404),
        ("upstream fault", 500),
        ("upstream closes", 502),
    ):
        assert {(line["st"], entries[0]["response"]["status"]) for line, entries in told.of(kind)} == {
            (status, status)
        }
    for kind, status in (("unknown host", 421), ("no server", 503)):
        assert {(line["st"], len(entries)) for line, entries in told.of(kind)} == {(status, 0)}
    for line, entries in told.of("lost half"):
        assert (line["st"], entries) == (200, [])
    for _, entries in told.of("late half"):
        assert len(entries) == 1
    tries = [len(entries[-1]["tries"]) for _, entries in told.of("order list")]
    assert max(tries) > 1, "no target of orders was refused"
    assert any(entry["response"]["status"] == 499 for entries in told.entries.values() for entry in entries)


def test_the_ordinary_is_ordinary() -> None:
    assert sum(wish.weight for wish in WISHES) == pytest.approx(95, abs=5)
    assert all(wish.target.startswith("/") for wish in WISHES)
    assert len({wish.name for wish in WISHES}) == len(WISHES)
