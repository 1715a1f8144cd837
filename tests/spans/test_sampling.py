"""Which requests' spans are sent."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Lineage
from pipeline.spans import DROPPED, SamplingRules, decide

Make = Callable[..., Any]
NONE = SamplingRules(share=0.0)


def test_what_is_worth_a_look_is_kept_though_nothing_else_is(
    lineage: Make, edge: Make, attempt: Make, pair: Lineage, retried: Lineage
) -> None:
    assert decide(pair, NONE) == DROPPED
    assert decide(retried, NONE) == "error"
    assert decide(retried, NONE._replace(errors=False)) == "retry"
    assert decide(retried, NONE._replace(errors=False, retries=False)) == DROPPED
    assert decide(lineage(edge(status=503)), NONE) == "error"
    assert decide(lineage(edge(termination="SD--")), NONE) == "error"
    assert decide(lineage(edge(status=404), attempt(status=404)), NONE) == DROPPED
    assert decide(lineage(edge(gateway_request_id="d" * 32), attempt()), NONE) == "conflict"


@pytest.mark.parametrize(
    ("rules", "decision"),
    [
        (NONE._replace(slow_ms=26), "slow"),
        (NONE._replace(slow_ms=27), DROPPED),
        (NONE._replace(slow_ms=1, slow_routes_ms={"orders-by-id": 100}), DROPPED),
        (NONE._replace(slow_routes_ms={"orders-by-id": 20}), "slow"),
        (NONE._replace(slow_routes_ms={"another": 20}), DROPPED),
    ],
)
def test_slow_is_what_the_route_says(pair: Lineage, rules: SamplingRules, decision: str) -> None:
    assert decide(pair, rules) == decision


@pytest.mark.parametrize(("flag", "decision"), [("01", "sampled"), ("00", DROPPED), ("03", "sampled")])
def test_the_caller_is_followed_where_that_is_configured(
    lineage: Make, edge: Make, attempt: Make, flag: str, decision: str
) -> None:
    trace = f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flag}"
    row = lineage(edge(traceparent=trace), attempt())
    assert decide(row, SamplingRules(follow_caller=True)) == decision
    assert decide(row, SamplingRules()) == "share"


@pytest.mark.parametrize(
    ("claims", "decision"), [("0af7651916cd43dd8448eb211c80319c", DROPPED), ("a" * 32, "sampled")]
)
def test_a_caller_is_followed_only_within_the_trace_that_the_edge_went_on_with(
    lineage: Make, edge: Make, attempt: Make, claims: str, decision: str
) -> None:
    own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    row = lineage(edge(traceparent=own, claimed_traceparent=f"00-{claims}-00f067aa0ba902b7-00"), attempt())
    assert decide(row, SamplingRules(follow_caller=True)) == decision


def test_without_a_context_the_share_decides(lineage: Make, edge: Make) -> None:
    row = lineage(edge(traceparent=None))
    assert decide(row, SamplingRules(follow_caller=True)) == "share"


@given(st.integers(0, 2**128 - 1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_what_a_smaller_one_keeps(trace: int, one: float, other: float) -> None:
    row = _traced(f"{trace:032x}")
    small, large = sorted((one, other))
    kept_small = decide(row, SamplingRules(share=small)) != DROPPED
    kept_large = decide(row, SamplingRules(share=large)) != DROPPED
    assert kept_large or not kept_small


def test_a_share_is_taken_of_the_random_part_of_the_trace_id() -> None:
    rules = SamplingRules(share=0.25)
    kept = [decide(_traced(f"{'f' * 18}{number << 48:014x}"), rules) != DROPPED for number in range(256)]
    assert kept == [False] * 192 + [True] * 64


def _traced(trace_id: str) -> Lineage:
    from pipeline.join.resolve import resolve  # noqa: PLC0415 -- for these two alone
    from pipeline.model import EdgeRecord  # noqa: PLC0415 -- the same

    edge = EdgeRecord(rec_id=1, offset=1, request_id="", start_us=1, status=200, termination="----")
    (row,) = resolve([edge], [])
    fields = {name: getattr(row, name) for name in row.__struct_fields__} | {"trace_id": trace_id}
    return Lineage(**fields)
