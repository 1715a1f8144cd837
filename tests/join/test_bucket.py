from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.join.bucket import bucket_of_edge, bucket_of_gateway, uuid7_us
from pipeline.model import EdgeRecord, GatewayRecord

T0_US = 1_795_460_243_518_000
DAY_US = 86_400_000_000
UUID7 = "01a209dc-6e6e-7000-8000-000000000000"

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]


def test_both_halves_take_the_start_that_the_edge_made(edge: MakeEdge, attempt: MakeAttempt) -> None:
    """Their own starts lie on different sides of a full hour."""
    start_us = 1_795_460_399_999_000
    from_edge = bucket_of_edge(edge(start_us=start_us, request_start_us=start_us))
    from_gateway = bucket_of_gateway(attempt(started_us=start_us + 5000, request_start_us=start_us), "x")
    assert from_edge == from_gateway
    assert not from_edge.is_hour


def test_a_time_in_the_request_id_serves_where_no_start_was_sent(
    edge: MakeEdge, attempt: MakeAttempt
) -> None:
    at_us = uuid7_us(UUID7)
    assert at_us is not None
    bucket = bucket_of_edge(edge(UUID7, start_us=at_us + 900))
    assert bucket == bucket_of_gateway(attempt(started_us=at_us + 10_000), UUID7)
    assert (bucket.second, bucket.is_hour) == (at_us // 1_000_000, False)


def test_else_it_is_the_hour_of_the_records_own_start(edge: MakeEdge) -> None:
    bucket = bucket_of_edge(edge(start_us=T0_US))
    assert bucket.is_hour
    assert bucket.second == T0_US // 3_600_000_000 * 3600


@pytest.mark.parametrize("off_us", [DAY_US + 1, -DAY_US - 1])
def test_a_start_more_than_a_day_off_is_not_believed_and_flagged(edge: MakeEdge, off_us: int) -> None:
    bucket = bucket_of_edge(edge(start_us=T0_US, request_start_us=T0_US + off_us))
    assert bucket.is_hour
    assert bucket.flags == ("odd_request_start",)


def test_a_time_in_an_id_more_than_a_day_off_is_not_believed_and_flagged(edge: MakeEdge) -> None:
    at_us = uuid7_us(UUID7)
    assert at_us is not None
    bucket = bucket_of_edge(edge(UUID7, start_us=at_us + 2 * DAY_US))
    assert bucket.is_hour
    assert bucket.flags == ("odd_id_time",)


@pytest.mark.parametrize(
    "text",
    ["", "-", "47c60cd1-c353-4d74-97a9-702ea38ece29", "01a209dc-6e6e-7000-c000-000000000000", "z" * 32],
)
def test_only_a_version_7_uuid_has_a_time(text: str) -> None:
    assert uuid7_us(text) is None
