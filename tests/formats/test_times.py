"""Years, leap days, year's end, zones."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.times import Dates, epoch_us, rfc3339_us

SECOND_US = 1_000_000


def at(*parts: int, zone: str = "UTC") -> int:
    return round(datetime(*parts, tzinfo=ZoneInfo(zone)).timestamp()) * SECOND_US  # type: ignore[arg-type, misc] # a date's parts


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)),  # noqa: DTZ001 -- wall-clock times, of the zone below
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_what_a_clock_on_a_wall_says_is_read_in_its_zone(wall: datetime, zone: str) -> None:
    wall = wall.replace(microsecond=wall.microsecond // 1000 * 1000)
    text = wall.strftime("%d/%b/%Y:%H:%M:%S") + f".{wall.microsecond // 1000:03d}"
    dates = Dates(zone)
    expected = wall.replace(microsecond=0, tzinfo=ZoneInfo(zone)).timestamp() * SECOND_US + wall.microsecond
    assert dates.local_us(text) == expected
    assert dates.local_us(text) == expected  # from memory, too
    assert dates.local_us(text[:20]) == expected - wall.microsecond


def test_a_date_with_a_zone_is_read_in_that_one() -> None:
    dates = Dates("Asia/Tokyo")
    assert dates.local_us("23/Nov/2026:18:35:39 +0000") == at(2026, 11, 23, 18, 35, 39)
    assert dates.local_us("23/Nov/2026:18:35:39 -0330") == at(2026, 11, 23, 22, 5, 39)


def test_of_an_hour_that_occurs_twice_the_first_is_meant() -> None:
    assert Dates("Europe/Berlin").local_us("25/Oct/2026:02:30:00.000") == at(2026, 10, 25, 0, 30)


@pytest.mark.parametrize(
    "text",
    ["29/Feb/2027:00:00:00.000", "31/Apr/2026:00:00:00", "00/Nov/2026:00:00:00", "23/Foo/2026:00:00:00", "23/Nov/2026:24:00:00",
     "23/Nov/2026 18:35:39", "", "-", "٢٣/Nov/2026:18:35:39.609", "23/Nov/2026:18:35:39.٢٢٢"],
)  # fmt: skip
def test_days_that_do_not_exist_are_no_dates(text: str) -> None:
    assert Dates("UTC").local_us(text) is None


def test_leap_days_and_leap_seconds_exist() -> None:
    dates = Dates("UTC")
    assert dates.local_us("29/Feb/2028:12:00:00.000") == at(2028, 2, 29, 12)
    assert dates.local_us("31/Dec/2016:23:59:60.000") == at(2017, 1, 1)


@pytest.mark.parametrize(
    ("text", "near", "expected"),
    [
        ("Nov 23 18:35:39", (2026, 11, 23), (2026, 11, 23, 18, 35, 39)),
        ("Dec 31 23:59:59", (2027, 1, 1), (2026, 12, 31, 23, 59, 59)),
        ("Jan  1 00:00:01", (2026, 12, 31, 23), (2027, 1, 1, 0, 0, 1)),
        ("Feb 29 12:00:00", (2027, 3, 1), (2028, 2, 29, 12)),
        ("Feb 29 12:00:00", (2100, 2, 28), (2096, 2, 29, 12)),
    ],
)
def test_a_header_without_year_is_of_the_nearest(
    text: str, near: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert Dates("UTC").header_us(text, at(*near)) == at(*expected)


def test_a_header_without_zone_is_of_the_configured_one() -> None:
    assert Dates("Europe/Berlin").header_us("Jul  1 12:00:00", at(2026, 7, 1)) == at(2026, 7, 1, 10)


@pytest.mark.parametrize(
    "text", ["Feb 30 12:00:00", "Foo 23 18:35:39", "Nov 23 25:35:39", "", "2026-11-23T18:35:39"]
)
def test_what_is_no_header_date_is_none(text: str) -> None:
    assert Dates("UTC").header_us(text, at(2026, 1, 1)) is None


def test_rfc_3339_is_exact_to_the_microsecond() -> None:
    assert rfc3339_us("2026-11-23T18:35:39.610519+02:00") == at(2026, 11, 23, 16, 35, 39) + 610_519
    assert rfc3339_us("2026-11-23T18:35:39Z") == at(2026, 11, 23, 18, 35, 39)
    assert rfc3339_us("2026-11-23T18:35:39") is None
    assert datetime.fromtimestamp(0, UTC).year == 1970


@given(st.integers(0, 2**40), st.integers(0, 999))
def test_seconds_and_milliseconds_are_microseconds(seconds: int, milliseconds: int) -> None:
    if seconds < 10**11:
        assert epoch_us(f"{seconds}.{milliseconds:03d}") == (seconds * 1000 + milliseconds) * 1000


@pytest.mark.parametrize(
    "text", ["", "-", "1.5e3", "-1.000", "1795458940,099", "١٧٩٥٤٥٨٩٤٠.٠٩٩", "1795458940.09x"]
)
def test_other_numbers_are_none(text: str) -> None:
    assert epoch_us(text) is None
