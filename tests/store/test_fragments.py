"""Records that are kept by themselves are found again by any of their ids."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from pipeline.contracts import Fragment, LookupKey
from pipeline.model import EdgeRecord, GatewayRecord, Timers
from pipeline.store.connection import Connection
from pipeline.store.fragments import STRUCTURE, TABLE, encode_fragments, find_fragments, insert_statement

HOUR_S = 1_795_460_400
EDGE = EdgeRecord(
    rec_id=2**64 - 1, offset=5 << 40, request_id="edge-made-id-0001", start_us=HOUR_S * 10**6,
    gateway_request_id="a" * 32, path="/\u00ff", timers=Timers(TR=1, Ta=9),
)  # fmt: skip
ATTEMPT = GatewayRecord(
    attempt_id=7, offset=(5 << 40) + 1, request_ids=("forged", "edge-made-id-0001"),
    started_us=HOUR_S * 10**6, gateway_request_id="b" * 32,
)  # fmt: skip


@pytest.fixture
def store(connection: Connection) -> Iterator[Connection]:
    yield connection
    connection.client.command(f"TRUNCATE TABLE {TABLE}")


def _keep(store: Connection, *records: EdgeRecord | GatewayRecord, bucket_s: int = HOUR_S) -> None:
    lines = encode_fragments(Fragment(bucket_s, record) for record in records)
    store.insert(insert_statement, STRUCTURE, [lines])


def _key(request_id: str = "", gateway_id: str = "", rec_id: int = 0, *, bucket_s: int = HOUR_S) -> LookupKey:
    return LookupKey(
        bucket_s,
        (request_id,) if request_id else (),
        (gateway_id,) if gateway_id else (),
        (rec_id,) if rec_id else (),
    )


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (_key("edge-made-id-0001"), {EDGE, ATTEMPT}),
        (_key("forged"), {ATTEMPT}),
        (_key(gateway_id="a" * 32), {EDGE}),
        (_key(rec_id=2**64 - 1), {EDGE}),
        (_key("edge-made-id-0001", bucket_s=HOUR_S + 3600), {EDGE, ATTEMPT}),
        (_key("edge-made-id-0001", bucket_s=HOUR_S + 2 * 86_400), set()),
        (_key("another"), set()),
        (_key(), set()),
    ],
)
def test_a_record_is_given_back_as_it_was_under_each_of_its_names(
    store: Connection, key: LookupKey, found: set[EdgeRecord | GatewayRecord]
) -> None:
    for _ in range(2):
        _keep(store, EDGE, ATTEMPT)
    assert set(find_fragments(store, [key], 10)) == found


def test_of_an_id_that_many_share_a_bounded_number_comes(store: Connection) -> None:
    _keep(store, *(msgspec.structs.replace(EDGE, rec_id=number) for number in range(1, 100)))
    assert len(find_fragments(store, [_key("edge-made-id-0001")], 10)) == 10


@pytest.mark.parametrize(("bucket_s", "path"), [(-3600, "/"), (2**32, "/"), (HOUR_S, "\ud800")])
def test_a_record_that_no_row_can_hold_is_left_out_alone(bucket_s: int, path: str) -> None:
    broken = Fragment(bucket_s, msgspec.structs.replace(EDGE, path=path))
    lines = encode_fragments([broken, Fragment(HOUR_S, ATTEMPT)])
    assert lines == encode_fragments([Fragment(HOUR_S, ATTEMPT)])
