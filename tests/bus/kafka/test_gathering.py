"""Records that wait to be packed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka.gathering import Gathering, Limits, Ticket, size_of
from pipeline.model import Source

_bodies = st.lists(st.binary(max_size=300), min_size=1, max_size=30)


@given(st.lists(st.tuples(st.integers(0, 2), _bodies, st.booleans()), max_size=12), st.integers(1, 12))
def test_every_record_is_in_one_packet_in_its_order_and_within_the_limits(
    given_bodies: list[tuple[int, list[bytes], bool]], most: int
) -> None:
    gathering, limits = Gathering(Limits(most, 1000)), Limits(most, 1000)
    total = 0
    for partition, bodies, _ in given_bodies:
        total += gathering.add(Source.KONG, partition, bodies, arrival_ns=1, peer="", ticket=None)
    packets = gathering.take(everything=False)
    assert all(packet.records == most or packet.bytes > 1000 - 64 - 300 for packet in packets)
    packets += gathering.take(everything=True)
    assert gathering.take(everything=True) == []
    for partition in range(3):
        wanted = [body for at, bodies, _ in given_bodies if at == partition for body in bodies]
        mine = [packet for packet in packets if packet.partition == partition]
        assert [body for packet in mine for piece in packet.slices for body in piece.bodies] == wanted
    for packet in packets:
        assert packet.records == sum(len(piece.bodies) for piece in packet.slices) <= limits.records
        assert packet.bytes == sum(size_of(piece.bodies) for piece in packet.slices) <= limits.bytes
    assert total == sum(packet.bytes for packet in packets)


def test_a_record_larger_than_a_message_is_cut_to_it() -> None:
    gathering = Gathering(Limits(10, 1000))
    gathering.add(Source.KONG, 0, [b"a", b"x" * 5000, b"b"], arrival_ns=1, peer="", ticket=None)
    packets = gathering.take(everything=True)
    bodies = [body for packet in packets for piece in packet.slices for body in piece.bodies]
    assert bodies == [b"a", b"x" * 1000, b"b"]


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_a_ticket_is_told_once_when_all_its_messages_are_settled_and_kept_only_if_all_are(
    kept: list[bool],
) -> None:
    told: list[bool] = []
    ticket = Ticket(told.append)
    gathering = Gathering(Limits(1, 1000))
    gathering.add(Source.KONG, 0, [b"x"] * len(kept), arrival_ns=1, peer="", ticket=ticket)
    packets = gathering.take(everything=True)
    assert len(packets) == len(kept)
    for packet, is_kept in zip(packets, kept, strict=True):
        assert told == []
        packet.tickets[0].settle(is_kept)
    assert told == [all(kept)]


def test_only_what_nobody_waits_for_is_patient() -> None:
    gathering = Gathering(Limits(10, 1000))
    gathering.add(Source.HAPROXY, 0, [b"datagram"], arrival_ns=1, peer="", ticket=None)
    gathering.add(Source.HAPROXY, 0, [b"post"], arrival_ns=2, peer="", ticket=Ticket(lambda _: None))
    (packet,) = gathering.take(everything=True)
    assert [piece.bodies for piece in packet.patient] == [[b"datagram"]]
    assert [piece.arrival_ns for piece in packet.slices] == [1, 2]
