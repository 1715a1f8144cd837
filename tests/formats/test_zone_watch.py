from __future__ import annotations

import pytest

from pipeline.formats.zone_watch import ZoneWatch

START = 1_782_914_400_000_000  # 2026-07-01 14:00 UTC
HOUR_US = 3600 * 1_000_000


@pytest.mark.parametrize(
    ("zone", "behind_hours", "true"),
    [("UTC", -2, "UTC+02:00"), ("UTC", 5, "UTC-05:00"), ("Europe/Berlin", 2, "UTC+00:00"), ("UTC", -5.75, "UTC+05:45"),
     ("Asia/Kathmandu", 0.5, "UTC+05:15")],
)  # fmt: skip
def test_whole_quarter_hours_between_date_and_header_name_the_zone(
    zone: str, behind_hours: float, true: str
) -> None:
    watch = ZoneWatch(zone)
    watch.look(START, 1500, START + 1_500_000 + 700 + round(behind_hours * HOUR_US))
    (warning,) = watch.warnings
    assert f"of {true}," in warning
    assert zone in warning


@pytest.mark.parametrize("gap_us", [0, 2000, 30_000_000, 400_000_000, 15 * HOUR_US, HOUR_US + 100_000_000])
def test_a_late_line_is_no_wrong_zone(gap_us: int) -> None:
    watch = ZoneWatch("UTC")
    watch.look(START, 0, START + gap_us)
    assert not watch.warnings


def test_one_line_of_sixteen_is_looked_at_and_warnings_are_counted() -> None:
    watch = ZoneWatch("UTC")
    due = [watch.is_due() for _ in range(33)]
    assert [index for index, is_due in enumerate(due) if is_due] == [0, 16, 32]
    for _ in range(3):
        watch.look(START, 0, START - HOUR_US)
    assert list(watch.warnings.values()) == [3]


def test_warnings_do_not_grow_without_end() -> None:
    watch = ZoneWatch("UTC")
    for quarters in range(1, 57):
        watch.look(START, 0, START + quarters * HOUR_US // 4)
    assert len(watch.warnings) == 16


def test_each_warning_is_told_once_when_it_is_new() -> None:
    watch = ZoneWatch("UTC")
    told: list[str] = []
    watch.tell = told.append
    for _ in range(3):
        for quarters in range(1, 57):
            watch.look(START, 0, START + quarters * HOUR_US // 4)
    assert told == list(watch.warnings)
    assert len(told) == 16
