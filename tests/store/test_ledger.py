"""What the store makes of the ledger's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from msgspec.structs import replace

from pipeline.model import EdgeEvent, LedgerRow
from pipeline.store.connection import Connection
from pipeline.store.gaps import edge_loss, processes
from pipeline.store.ledger import LEDGER, committed, kept, read_ledger
from pipeline.store.side_rows import EVENTS

MINUTE_S = 1_795_460_220
SECOND_NS = 10**9
BASE = 5 << 40


def _row(
    minute: int, kind: str, total: int, *, instance: str = "bus-5", source: str = "haproxy"
) -> LedgerRow:
    second = MINUTE_S + 60 * minute
    return LedgerRow(
        minute_s=second,
        instance=instance,
        source=source,
        kind=kind,
        reason="",
        total=total,
        taken_ns=(second + 59) * SECOND_NS,
    )


@pytest.fixture
def store(connection: Connection) -> Iterator[Connection]:
    yield connection
    for table in ("ledger_versions", "edge_event_versions"):
        connection.client.command(f"TRUNCATE TABLE {table}")


def _put(store: Connection, rows: Sequence[LedgerRow]) -> None:
    store.insert(LEDGER.insert_statement, LEDGER.structure, [LEDGER.encode(rows)])


def _minutes(store: Connection, kind: str) -> dict[int, int]:
    ledger = read_ledger(store.client, MINUTE_S, MINUTE_S + 600)
    return {(line.minute_s - MINUTE_S) // 60: line.amount for line in ledger.lines if line.kind == kind}


def test_a_minute_is_the_difference_to_the_look_before_and_a_state_is_what_it_was(store: Connection) -> None:
    _put(store, [_row(0, "stored", 5), _row(1, "stored", 9), _row(4, "stored", 10)])
    _put(store, [_row(0, "pending", 3), _row(1, "pending", 7)])
    assert _minutes(store, "stored") == {0: 5, 1: 4, 4: 1}
    assert _minutes(store, "pending") == {0: 3, 1: 7}


def test_what_was_under_way_is_that_of_the_minute_before_each_edge(store: Connection) -> None:
    _put(store, [_row(minute, "pending", total) for minute, total in enumerate((3, 7, 9))])
    ledger = read_ledger(store.client, MINUTE_S + 60, MINUTE_S + 120)
    assert (ledger.pending_before, ledger.pending_after) == ({"haproxy": 3}, {"haproxy": 7})


def test_rows_that_are_written_again_or_out_of_order_change_nothing(store: Connection) -> None:
    late = _row(1, "stored", 9)
    early = replace(late, total=6, taken_ns=late.taken_ns - 30 * SECOND_NS)
    for rows in ([late], [early, _row(0, "stored", 5)], [late], [_row(0, "stored", 5)]):
        _put(store, rows)
    assert _minutes(store, "stored") == {0: 5, 1: 4}


def test_several_instances_add_up_and_their_waiting_is_carried_over_the_edge_of_a_period(
    store: Connection,
) -> None:
    for instance in ("bus-5", "bus-6"):
        _put(
            store,
            [
                _row(0, "received", 10, instance=instance),
                _row(0, "stored", 7, instance=instance),
                _row(0, "pending", 3, instance=instance),
                _row(2, "received", 14, instance=instance),
                _row(2, "stored", 13, instance=instance),
                _row(2, "pending", 1, instance=instance),
            ],
        )
    ledger = read_ledger(store.client, MINUTE_S + 60, MINUTE_S + 180)
    assert ledger.sums("haproxy") == {"received": 8, "stored": 12}
    assert (ledger.pending_before, ledger.pending_after) == ({"haproxy": 6}, {"haproxy": 2})
    assert ledger.difference("haproxy") == 0


def _event(offset: int, counter: int) -> EdgeEvent:
    second = MINUTE_S + counter
    return EdgeEvent(
        offset=offset,
        arrival_ns=second * SECOND_NS,
        time_us=second * 10**6,
        kind="connection_error",
        node="edge-1",
        pid=77,
        proxy="public",
        text="PR-- SSL handshake failure",
        log_counter=counter,
    )


def test_events_that_carry_a_counter_are_looked_at_and_a_copy_hides_no_loss(store: Connection) -> None:
    events = [_event(BASE + counter, counter) for counter in (0, 1, 2, 5, 6)]
    copies = [replace(event, offset=event.offset + 100, arrival_ns=event.arrival_ns + 1) for event in events]
    dropped = replace(_event(BASE + 50, 6), kind="events_dropped", count=17, log_counter=None)
    store.insert(EVENTS.insert_statement, EVENTS.structure, [EVENTS.encode([*events, *copies, dropped])])
    loss = edge_loss(store.client, MINUTE_S, MINUTE_S + 60)
    assert len(loss.gaps) == 1, loss.gaps
    gap = loss.gaps[0]
    assert (gap.after_counter, gap.before_counter, gap.missing, gap.offset) == (2, 5, 2, BASE + 5)
    assert loss.dropped == 17
    (process,) = processes(store.client, MINUTE_S, MINUTE_S + 60)
    assert (process.node, process.pid, process.lines, process.last_counter) == ("edge-1", 77, 5, 6)


def test_a_request_that_began_long_before_it_was_logged_is_no_gap_but_to_those_in_a_hurry(
    store: Connection,
) -> None:
    events = [_event(BASE + counter, counter) for counter in range(6)]
    began_ns = events[3].arrival_ns - 10 * 3600 * SECOND_NS
    events[3] = replace(events[3], arrival_ns=began_ns)
    store.insert(EVENTS.insert_statement, EVENTS.structure, [EVENTS.encode(events)])
    assert edge_loss(store.client, MINUTE_S, MINUTE_S + 60).gaps == []
    assert len(edge_loss(store.client, MINUTE_S, MINUTE_S + 60, around_s=300).gaps) == 1


def test_what_rests_in_the_store_is_counted_up_to_the_committed_offset(store: Connection) -> None:
    events = [_event(BASE + counter, counter) for counter in range(4)]
    store.insert(EVENTS.insert_statement, EVENTS.structure, [EVENTS.encode(events)])
    _put(store, [_row(0, "event", 3), _row(0, "committed", BASE + 3, source="")])
    counted = {one.kind: (one.said, one.found) for one in kept(store.client)}
    assert counted == {"stored": (0, 0), "event": (3, 3), "dead_letter": (0, 0)}
    _put(store, [_row(1, "event", 5), _row(1, "committed", BASE + 4, source="")])
    counted = {one.kind: (one.said, one.found) for one in kept(store.client)}
    assert counted["event"] == (5, 4)
    assert committed(store.client) == {5: BASE + 4}
