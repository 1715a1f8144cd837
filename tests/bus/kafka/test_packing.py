"""Many records in one message, and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.packing import FORMAT, Slice, pack, pack_drops, unpack
from pipeline.bus.kafka.positions import MOST_RECORDS, Position
from pipeline.model import Source

slices = st.lists(
    st.builds(
        Slice, st.text(max_size=40), st.integers(0, 2**62), st.lists(st.binary(max_size=200), min_size=1)
    ),
    min_size=1,
    max_size=5,
)


@given(slices, st.sampled_from(Source), st.booleans())
def test_what_is_packed_is_unpacked(given_slices: list[Slice], source: Source, rekeyed: bool) -> None:
    value, headers = pack(source, given_slices, rekeyed=rekeyed)
    message = unpack(value, headers, 0)
    assert message.slices == given_slices
    assert message.is_rekeyed is rekeyed
    told = dict(headers)
    assert int(told["count"]) == message.records
    assert int(told["arrival"]) == given_slices[0].arrival_ns
    assert ("peer" in told) is (len({each.peer for each in given_slices}) == 1)
    assert ("rekeyed" in told) is rekeyed


@given(slices)
def test_each_record_gets_the_number_of_its_place(given_slices: list[Slice]) -> None:
    message = unpack(*pack(Source.KONG, given_slices), 0)
    bodies, numbers = [], []
    for delivery in message.deliveries(Source.KONG, 3, 77):
        numbers += range(delivery.offset, delivery.offset + len(delivery.bodies))
        bodies += delivery.bodies
    assert bodies == [body for each in given_slices for body in each.bodies]
    assert numbers == [Position(Source.KONG, 3, 77, nth).pack() for nth in range(len(bodies))]


@given(st.binary(max_size=300), st.sampled_from([FORMAT, b"hoptrail-drops/1", b"nonsense", None]))
def test_any_bytes_are_records_drops_or_one_record_as_it_came(value: bytes, form: bytes | None) -> None:
    headers = [] if form is None else [("format", form)]
    message = unpack(value, headers, 5)
    assert message.records <= MOST_RECORDS
    if form not in {FORMAT, b"hoptrail-drops/1"}:
        assert message.slices == (Slice("", 5_000_000, [value]),)
        assert not message.drops
    assert message.records > 0 or form == b"hoptrail-drops/1"


def test_a_message_with_more_records_than_can_be_numbered_is_one_record_as_it_came() -> None:
    value, headers = pack(Source.KONG, [Slice("", 1, [b"x"] * (MOST_RECORDS + 1))])
    assert unpack(value, headers, 0).slices[0].bodies == [value]


def test_nothing_is_an_empty_record() -> None:
    assert unpack(None, (), -1).slices == (Slice("", 0, [b""]),)


@given(st.dictionaries(st.text(max_size=20), st.integers(0, 2**40), max_size=10))
def test_drops_have_counts_and_no_records(drops: dict[str, int]) -> None:
    message = unpack(*pack_drops(Source.HAPROXY, drops), 0)
    assert message.drops == drops
    assert message.records == 0
