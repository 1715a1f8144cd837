"""Events and dead letters come back equal, and once."""

from pipeline.model import DeadLetter, EdgeEvent, Source
from pipeline.store.connection import Connection
from pipeline.store.side_rows import DEAD_LETTERS, EVENTS

NOW_NS = 1_795_460_243_518_000_123
EVENT_ROWS = [
    EdgeEvent(offset=7, arrival_ns=NOW_NS, kind="process", text="Proxy fe started.\x00\u2028'"),
    EdgeEvent(
        offset=2**62,
        arrival_ns=NOW_NS + 1,
        time_us=NOW_NS // 1000,
        kind="server_state",
        node="edge-1",
        pid=77,
        severity=0,
        proxy="kong",
        server="kong1",
        client_ip="2001:db8::1",
        count=0,
        text="Server kong/kong1 is DOWN",
    ),
]
DEAD_ROWS = [
    DeadLetter(
        offset=9,
        source=Source.KONG,
        arrival_ns=NOW_NS,
        peer="192.0.2.1",
        reason="not_json",
        detail="begins like JSON",
        body='{"a": "\\ud800\x01\\',
        fingerprint="00ff",
        size=2**40,
    ),
    DeadLetter(
        offset=8,
        source=Source.HAPROXY,
        arrival_ns=NOW_NS,
        peer="",
        reason="not_a_log_line",
        detail="",
        body="",
        fingerprint="ff00",
        size=3,
        original=bytes(range(256)),
        original_key="0123456789abcdef",
    ),
]


def test_events_come_back_equal_however_often_they_are_written(connection: Connection) -> None:
    for _ in range(3):
        connection.insert(EVENTS.insert_statement, EVENTS.structure, [EVENTS.encode(EVENT_ROWS)])
    assert EVENTS.read(connection.client) == EVENT_ROWS[::-1]
    assert connection.client.command("SELECT count() FROM edge_events") == 2


def test_dead_letters_come_back_equal_however_often_they_are_written(connection: Connection) -> None:
    for _ in range(3):
        connection.insert(
            DEAD_LETTERS.insert_statement, DEAD_LETTERS.structure, [DEAD_LETTERS.encode(DEAD_ROWS)]
        )
    assert DEAD_LETTERS.read(connection.client, limit=5) == DEAD_ROWS
    assert DEAD_LETTERS.read(connection.client, "reason = {r:String}", {"r": "not_json"}) == DEAD_ROWS[:1]
    assert connection.client.command("SELECT count() FROM dead_letters") == 2
