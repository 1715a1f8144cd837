"""How a look-up is cut and where it looks; what it finds is in `tests/contracts/test_store.py`."""

from pipeline.contracts import LookupKey
from pipeline.store.held import HOUR_S
from pipeline.store.lookup import buckets, chunks, condition

HOUR_START_S = 498_739 * HOUR_S


def key(bucket_s: int, *request_ids: str, gateway_ids: tuple[str, ...] = ()) -> LookupKey:
    return LookupKey(bucket_s, request_ids, gateway_ids)


def test_an_exact_bucket_looks_at_itself_and_the_whole_hours_around() -> None:
    where = buckets([key(HOUR_START_S + 17, "a")])
    expected = [HOUR_START_S - HOUR_S, HOUR_START_S, HOUR_START_S + 17, HOUR_START_S + HOUR_S]
    assert where.parameters == {"points": expected}


def test_neighbouring_whole_hours_are_one_range() -> None:
    where = buckets([key(HOUR_START_S + hour * HOUR_S, "a") for hour in range(5)])
    assert where.text == f"((bucket >= {HOUR_START_S - HOUR_S} AND bucket < {HOUR_START_S + 6 * HOUR_S}))"


def test_buckets_at_the_ends_of_time_stay_within_the_column() -> None:
    assert buckets([key(1, "a"), key(2**32 - 1, "a")]).parameters["points"] == [
        0,
        1,
        3600,
        4294965600 - 3600,
        4294965600,
        2**32 - 1,
    ]
    assert "bucket >= 0 " in buckets([key(0, "a")]).text


def test_few_ids_ask_the_index_and_many_are_a_set() -> None:
    assert "hasAny(request_ids" in condition([key(1, "a")]).text
    assert "arrayExists" in condition([key(1, *map(str, range(500)))]).text


def test_a_key_without_ids_finds_nothing() -> None:
    assert condition([key(1)])[:2] == ("0", {})


def test_statements_are_bounded_in_keys_and_in_ranges() -> None:
    dense = [key(HOUR_START_S + number, str(number)) for number in range(10_000)]
    assert [len(part) for part in chunks(dense)] == [4000, 4000, 2000]
    sparse = [key(HOUR_START_S + number * 7 * HOUR_S, str(number)) for number in range(120)]
    assert [len(part) for part in chunks(sparse)] == [50, 50, 20]


def test_every_key_is_in_one_statement_whatever_their_order() -> None:
    keys = [key(HOUR_START_S + number * 977 % 50_000, str(number)) for number in range(9000)]
    asked = [one for part in chunks(keys) for one in part]
    assert sorted(asked) == sorted(keys)
