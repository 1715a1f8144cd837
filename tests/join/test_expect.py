"""HAProxy manual 8.5: what a termination state says about a gateway record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.join.expect import MISSING, expected_of
from pipeline.model import EdgeRecord, Timers

MakeEdge = Callable[..., EdgeRecord]

CONNECTED = Timers(TR=0, Tw=0, Tc=1, Tr=None, Ta=10)
UNCONNECTED = Timers(TR=0, Tw=0, Ta=10)


@pytest.mark.parametrize(
    ("state", "status", "server", "timers", "reason"),
    [
        ("PR--", 403, None, Timers(TR=0), "denied_at_edge"),
        ("PR--", 421, None, Timers(TR=0), "denied_at_edge"),
        ("PR--", 400, None, Timers(), "bad_request"),
        ("PT--", 500, None, Timers(Tw=5000), "denied_at_edge"),
        ("LR--", 302, None, Timers(TR=0), "answered_at_edge"),
        ("----", 200, "<STATS>", Timers(TR=0), "answered_at_edge"),
        ("CR--", None, None, Timers(), "client_left_before_gateway"),
        ("cR--", 408, None, Timers(), "client_left_before_gateway"),
        ("SC--", 503, "k1", UNCONNECTED, "gateway_unreachable"),
        ("sC--", 503, "k1", UNCONNECTED, "gateway_unreachable"),
        ("SC--", 503, None, UNCONNECTED, "no_server"),
        ("sQ--", 503, None, Timers(TR=0), "queue_timeout"),
        ("CQ--", None, None, Timers(TR=0), "client_left_before_gateway"),
        ("CC--", None, "k1", UNCONNECTED, "client_left_before_gateway"),
    ],
)
def test_what_never_reached_the_gateway_expects_nothing(
    edge: MakeEdge, state: str, status: int | None, server: str | None, timers: Timers, reason: str
) -> None:
    record = edge(termination=state, status=status, server=server, timers=timers)
    assert expected_of(record) == (0, reason)
    assert reason in MISSING


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("----", 200),
        ("sH--", 504),
        ("SH--", 502),
        ("PH--", 502),
        ("CD--", None),
        ("CH--", 400),
        ("SD--", 200),
        ("cD--", 101),
        ("KH--", 502),
        ("--VN", 200),
    ],
)
def test_what_reached_the_gateway_expects_its_record(edge: MakeEdge, state: str, status: int | None) -> None:
    record = edge(termination=state, status=status, timers=CONNECTED)
    assert expected_of(record) == (1, "gateway_log_lost")


def test_each_retry_may_have_reached_the_gateway(edge: MakeEdge) -> None:
    assert expected_of(edge(retries=2)).attempts == 3


def test_a_captured_gateway_id_outweighs_the_state(edge: MakeEdge) -> None:
    record = edge(termination="PR--", status=403, server=None, gateway_request_id="a" * 32)
    assert expected_of(record).attempts == 1
