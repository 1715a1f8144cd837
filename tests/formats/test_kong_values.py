"""Values in all the types that Kong gives them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.kong_entry import Attempted, ResponseHeaders, TraceId
from pipeline.formats.kong_values import (
    LONGEST_MS,
    claimed_subject,
    first,
    kong_apart,
    ms_to_us,
    read_try,
    request_start_us,
    size,
    trace_id,
    upstream_statuses,
)
from pipeline.model import Try

numbers = st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@pytest.mark.parametrize(
    ("value", "us"),
    [(1795460243518, 1_795_460_243_518_000), (1795460243518.25, 1_795_460_243_518_250), (0, None), (-1, None), (1e30, None), (None, None)],
)  # fmt: skip
def test_milliseconds_of_an_epoch_are_microseconds(value: float | None, us: int | None) -> None:
    assert ms_to_us(value) == us


@pytest.mark.parametrize(
    ("value", "us"),
    [
        ("t=1795460243518000", 1_795_460_243_518_000), ("1795460243518000", 1_795_460_243_518_000),
        ("t=1795460243.518", 1_795_460_243_518_000), ("1795460243.5", 1_795_460_243_500_000),
        ("t=17954602435180", None), ("t=now", None), ("t=\u0661795460243518000", None), ("t=-795460243518000", None),
        (["t=1795460243518000"], None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_a_start_header_is_read_in_both_forms(value: Any, us: int | None) -> None:
    assert request_start_us(value) == us


@pytest.mark.parametrize(
    ("value", "statuses"),
    [
        ("200", ("200",)), ("502, 200", ("502", "200")), ("502, - : 200", ("502", "-", "200")), (200, ("200",)), ([502, "200"], ("502", "200")),
        ("", ()), (None, ()), ([], ()), (", ".join(["502"] * 40), ("502",) * 32), ("x" * 99, ("x" * 8,)),
    ],
)  # fmt: skip
def test_upstream_statuses_are_one_per_try(value: Any, statuses: tuple[str, ...]) -> None:
    assert upstream_statuses(value) == statuses


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), ("5", 5), ("-", None), (-1, None), (1 << 60, None), ("", None), (None, None)],
)
def test_a_size_may_be_text(value: Any, number: int | None) -> None:
    assert size(value) == number


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (["a", "b"], "a"), ([], None), ("", None), ([""], None), (None, None)]
)
def test_of_a_repeated_header_the_first_counts(value: Any, text: str | None) -> None:
    assert first(value) == text


def test_before_3_7_receiving_is_what_the_client_was_not_told_of() -> None:
    assert kong_apart(9, ResponseHeaders(x_kong_proxy_latency="3")) == (3, 6)
    assert kong_apart(9, ResponseHeaders(x_kong_proxy_latency="12")) == (9, None)
    assert kong_apart(9, ResponseHeaders()) == (9, None)


def test_a_trace_id_has_one_form_whatever_the_plugin_wrote() -> None:
    assert trace_id(TraceId(w3c="a" * 32, b3="b" * 32)) == "a" * 32
    assert trace_id(TraceId(b3="b" * 16)) == "0" * 16 + "b" * 16
    assert trace_id(TraceId(w3c="0" * 32, jaeger="c" * 32)) == "c" * 32
    assert trace_id(TraceId(w3c="A" * 32, ot="short")) is None


def test_claims_name_a_subject_and_only_text_does() -> None:
    assert claimed_subject({"sub": 7, "client_id": "shop", "azp": "other"}) == "shop"
    assert claimed_subject({"sub": "s" * 300}) == "s" * 256
    assert claimed_subject({"iss": "x"}) is None


def test_a_try_is_known_finer_than_milliseconds_where_kong_tells() -> None:
    told = Attempted("192.0.2.1", 80, "failed", 502, 1795460243522, 1.7954602435226e18, 0, 9472)
    made = read_try(told)
    assert made.started_us == pytest.approx(1_795_460_243_522_600, abs=1)  # a double is that exact
    assert (made.code, made.state, made.balancer_ms) == (502, "failed", 0.009472)
    older = Attempted("192.0.2.1", 80, None, None, 1795460243522, None, 4, None)
    assert read_try(older) == Try("192.0.2.1", 80, None, None, 1_795_460_243_522_000, 4)


@given(
    st.one_of(st.none(), st.integers()),
    st.one_of(st.none(), st.integers()),
    numbers,
    numbers,
    numbers,
    numbers,
)
def test_a_try_of_any_numbers_has_only_those_that_can_be(
    port: int | None,
    code: int | None,
    start: float | None,
    start_ns: float | None,
    took: float | None,
    took_ns: float | None,
) -> None:
    made = read_try(Attempted("h", port, None, code, start, start_ns, took, took_ns))
    assert made.port is None or 0 <= made.port <= 65_535
    assert made.code is None or 0 <= made.code <= 999
    assert made.started_us is None or 0 <= made.started_us <= (1 << 43) * 1000
    assert made.balancer_ms is None or (
        0 <= made.balancer_ms < LONGEST_MS and math.isfinite(made.balancer_ms)
    )
