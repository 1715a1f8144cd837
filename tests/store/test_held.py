"""Where a look-up can find something."""

import pytest

from pipeline.store.held import HOUR_S, Held

HOUR = 498_739
START_S = HOUR * HOUR_S


@pytest.mark.parametrize(
    ("bucket_s", "may"),
    [
        (START_S + 600, True),
        (START_S + 659, True),
        (START_S + 660, False),
        (START_S + 599, False),
        (START_S, True),
        (START_S + HOUR_S, True),
        (START_S - HOUR_S, True),
        (START_S + 2 * HOUR_S, False),
    ],
)
def test_an_exact_row_is_near_its_own_minute_and_the_hours_around(bucket_s: int, may: bool) -> None:
    assert Held(minutes=[START_S // 60 + 10], hours=[]).near(bucket_s) is may


@pytest.mark.parametrize(
    ("bucket_s", "may"),
    [
        (START_S, True),
        (START_S + 1, True),
        (START_S - 1, True),
        (START_S + 2 * HOUR_S - 1, True),
        (START_S + 2 * HOUR_S, False),
        (START_S - HOUR_S - 1, False),
    ],
)
def test_a_row_of_a_whole_hour_is_near_the_hour_before_and_after(bucket_s: int, may: bool) -> None:
    assert Held(minutes=[], hours=[HOUR]).near(bucket_s) is may


def test_nothing_is_near_an_empty_store() -> None:
    assert not any(Held((), ()).near(second) for second in (0, 1, START_S, 2**32 - 1))
