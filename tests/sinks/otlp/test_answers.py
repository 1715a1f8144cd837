"""What a receiver's answers mean."""

from datetime import UTC, datetime

import pytest

from pipeline.sinks.otlp.answers import (
    LONGEST_PAUSE_S,
    REASONS,
    Later,
    Refused,
    Taken,
    answer_of_status,
    pause_of,
    shortened,
)
from pipeline.sinks.otlp.exporter import fates_of


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_four_statuses_may_be_tried_again(status: int) -> None:
    assert answer_of_status(status, "3", "busy") == Later(f"HTTP {status} busy", 3.0)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "unauthorized"),
        (413, "too_large"),
        (301, "refused"),
        (404, "refused"),
        (500, "refused"),
        (501, "refused"),
        (799, "refused"),
    ],
)
def test_all_others_are_refusals_with_a_reason_of_a_closed_set(status: int, reason: str) -> None:
    answer = answer_of_status(status, "3", "")
    assert answer == Refused(reason, f"HTTP {status}")
    assert reason in REASONS


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("2", 2.0),
        (" 7 ", 7.0),
        ("99999999999999999999", LONGEST_PAUSE_S),
        ("-3", None),
        ("1.5", None),
        ("soon", None),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2099 12:00:00 GMT", LONGEST_PAUSE_S),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(header: str | None, seconds: float | None) -> None:
    assert pause_of(header, datetime(2026, 11, 24, 12, tzinfo=UTC)) == seconds


def test_what_a_stranger_says_is_one_short_line() -> None:
    assert shortened("a\nb\x1b[31m" + "x" * 1000) == "a b [31m" + "x" * 192


@pytest.mark.parametrize("rejected", [0, 1, 5, 500])
def test_fates_sum_to_the_spans_whatever_a_receiver_claims(rejected: int) -> None:
    fates = fates_of(5, Taken(rejected)).values()
    assert sum(fates) == 5
    assert min(fates) >= 0
    assert sum(fates_of(5, Refused("too_large", "")).values()) == 5
