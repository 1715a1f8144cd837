"""No insert spans more days than ClickHouse takes, and nothing is lost or reordered by the cut."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.model import Lineage
from pipeline.sinks.partitions import MOST_PARTITIONS, by_day, partitioned

T0_S = 1_795_460_243


@given(st.lists(st.integers(0, 400), max_size=600))
def test_each_part_has_few_days_and_order_is_kept_within_a_day(days: list[int]) -> None:
    rows = list(enumerate(days))
    parts = list(by_day(rows, lambda row: row[1]))
    assert all(len({day for _, day in part}) <= MOST_PARTITIONS for part in parts)
    assert sorted(row for part in parts for row in part) == rows
    for part in parts:
        for day in {day for _, day in part}:
            numbers = [number for number, its in part if its == day]
            assert numbers == sorted(numbers)


def test_tombstones_come_after_all_that_absorbed_them(lineage: Callable[..., Lineage]) -> None:
    rows = [lineage(number, start_s=T0_S - number * 86_400) for number in range(250)]
    dead = [replace(row, is_deleted=True) for row in rows]
    cut = [row.is_deleted for part in partitioned([*dead, *rows]) for row in part]
    assert cut == [False] * 250 + [True] * 250
