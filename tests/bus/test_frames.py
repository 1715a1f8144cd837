import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus import frames
from pipeline.bus.cipher import Cipher
from pipeline.model import Delivery, Source

OFFSETS = st.integers(2**40, 2**62)
DELIVERIES = st.builds(
    Delivery,
    source=st.sampled_from(list(Source)),
    bodies=st.lists(st.binary(max_size=50), min_size=1, max_size=20),
    arrival_ns=st.integers(-(2**63), 2**63 - 1),
    peer=st.sampled_from(["", "127.0.0.1", "2001:db8::1"]),
    offset=OFFSETS,
)
CIPHERS = st.sampled_from([None, Cipher(b"k" * 32, b"s" * 16)])


def written(delivery: Delivery, cipher: Cipher | None = None) -> bytes:
    return b"".join(frames.encode(delivery, delivery.offset, 3, cipher))


@given(DELIVERIES, CIPHERS, st.binary(max_size=100))
def test_what_is_written_is_read_back(delivery: Delivery, cipher: Cipher | None, around: bytes) -> None:
    data = around + written(delivery, cipher) + around
    head = frames.read_head(data, len(around))
    assert head is not None
    assert (head.offset, head.end) == (delivery.offset, delivery.offset + len(delivery.bodies))
    assert head.frame_bytes == len(data) - 2 * len(around)
    assert head.frame_bytes <= frames.frame_bytes(delivery, sealed=cipher is not None)
    assert frames.decode(data, len(around), head, cipher) == delivery


@given(DELIVERIES, CIPHERS, st.data())
def test_a_frame_that_was_cut_or_changed_is_known(
    delivery: Delivery, cipher: Cipher | None, data: st.DataObject
) -> None:
    whole = written(delivery, cipher)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    for torn in (whole[:at], whole[:at] + bytes(len(whole) - at), bytes(changed)):
        head = frames.read_head(torn, 0)
        assert torn == whole or head is None or not frames.is_whole(torn, 0, head)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_none(data: bytes) -> None:
    head = frames.read_head(data, 0)
    assert head is None or not frames.is_whole(data, 0, head)


def test_a_sealed_frame_shows_neither_bodies_nor_peer() -> None:
    delivery = Delivery(Source.KONG, [b"apikey=hunter2"], 1, "192.0.2.99", 2**40)
    sealed = written(delivery, Cipher(b"k" * 32, b"s" * 16))
    assert b"hunter2" not in sealed
    assert b"192.0.2.99" not in sealed
    assert b"hunter2" in written(delivery)


@pytest.mark.parametrize("cipher", [None, Cipher(b"x" * 32, b"s" * 16), Cipher(b"k" * 32, b"t" * 16)])
def test_a_sealed_frame_opens_with_its_own_key_and_salt_alone(cipher: Cipher | None) -> None:
    sealed = written(Delivery(Source.KONG, [b"a"], 1, "", 2**40), Cipher(b"k" * 32, b"s" * 16))
    head = frames.read_head(sealed, 0)
    assert head is not None
    with pytest.raises(frames.Damaged):
        frames.decode(sealed, 0, head, cipher)
