"""What `hoptrail ledger` says of a period, in sentences that can be worked out again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.cli.ledger import gather
from pipeline.cli.ledger_document import (
    Evidence,
    ledger_document,
    minute_rows,
    not_running,
    reconciles,
    statement,
)
from pipeline.store.connection import connect
from pipeline.store.dsn import parse_dsn
from pipeline.store.gaps import Gap, Process
from pipeline.store.ledger import Kept, Ledger, Line

MINUTE_S = 1_795_460_220
SECOND_US = 10**6


def _line(minute: int, kind: str, amount: int, *, source: str = "haproxy", reason: str = "") -> Line:
    return Line(MINUTE_S + 60 * minute, "bus-5", source, kind, reason, amount)


LINES = [
    _line(0, "received", 1000),
    _line(0, "stored", 990),
    _line(0, "pending", 14),
    _line(1, "received", 500),
    _line(1, "stored", 509),
    _line(1, "dead_letter", 2, reason="not_json"),
    _line(1, "dropped", 3, reason="kernel_buffer"),
    _line(1, "pending", 0),
    _line(3, "received", 0),
]
GAP = Gap("edge-1", 77, "public", 39, 43, 3, MINUTE_S * SECOND_US, (MINUTE_S + 1) * SECOND_US, 5 << 40)


def _evidence(lines: list[Line] | None = None, **changed: object) -> Evidence:
    evidence = Evidence(
        since_s=MINUTE_S,
        until_s=MINUTE_S + 240,
        ledger=Ledger(LINES if lines is None else lines, {"haproxy": 4}, {"haproxy": 0}),
        processes=[Process("edge-1", 77, "public", 1499, 0, 1501)],
        gaps=[GAP],
        unsettled=2,
        dropped_by_edge=7,
        without_counter=5,
        requests={"complete": 1400, "edge_only (denied_at_edge)": 99},
    )
    return evidence._replace(**changed)  # type: ignore[arg-type] # fields by name


def test_the_account_is_written_as_a_sum() -> None:
    assert next(statement(_evidence())) == (
        "From 2026-11-23T18:57:00Z to 2026-11-23T19:01:00Z, haproxy: 1,500 received + 4 under way before = "
        "1,499 stored + 0 events + 0 duplicates + 2 dead letters + 3 dropped + 0 under way after."
    )


def test_an_account_that_does_not_add_up_says_by_how_much() -> None:
    evidence = _evidence([*LINES, _line(2, "received", 10)])
    assert not reconciles(evidence)
    assert next(statement(evidence)).endswith("+ 10 that cannot be accounted for.")
    assert ledger_document(evidence)["sources"]["haproxy"]["difference"] == 10


def test_every_loss_is_named() -> None:
    said = list(statement(_evidence()))
    assert "haproxy: dropped by reason: 3 kernel_buffer." in said
    assert "haproxy: dead letters by reason: 2 not_json." in said
    assert (
        "Missing: 3 lines at edge-1 pid 77 frontend public, counters 39 to 43, between "
        "2026-11-23T18:57:00.000Z and 2026-11-23T18:57:01.000Z."
    ) in said
    assert "1,499 lines of 1 HAProxy process carry a log counter; 3 log-counter values are missing." in said
    assert any(sentence.startswith("2 more lack among the newest lines") for sentence in said)
    assert any("threw away 7 lines" in sentence for sentence in said)
    assert any(sentence.startswith("5 lines carry no log counter") for sentence in said)


def test_messages_that_were_gone_before_they_were_read_stand_beside_the_sum() -> None:
    evidence = _evidence(
        [*LINES, Line(MINUTE_S, "kafka-g/partition-1", "haproxy", "messages_gone", "retention", 12)]
    )
    assert reconciles(evidence)
    assert ledger_document(evidence)["sources"]["haproxy"]["messages_gone"] == {"retention": 12}
    (sentence,) = [said for said in statement(evidence) if "retention" in said]
    assert sentence.startswith(
        "haproxy: 12 messages were removed by their topic's retention before they were read"
    )


def test_minutes_in_which_nothing_ran_are_told_from_silent_ones() -> None:
    document = ledger_document(_evidence())
    assert document["not_running"] == [{"from": "2026-11-23T18:59:00Z", "to": "2026-11-23T19:00:00Z"}]
    assert document["sources"]["haproxy"]["silent"] == [
        {"from": "2026-11-23T19:00:00Z", "to": "2026-11-23T19:01:00Z"}
    ]


def test_minutes_before_the_first_look_and_after_the_last_were_not_watched_either() -> None:
    hour = _evidence(since_s=MINUTE_S - 1800, until_s=MINUTE_S + 1800)
    assert not_running(hour) == [
        (MINUTE_S - 1800, MINUTE_S),
        (MINUTE_S + 120, MINUTE_S + 180),
        (MINUTE_S + 240, MINUTE_S + 1800),
    ]
    assert not_running(hour._replace(over_s=MINUTE_S + 300))[-1] == (MINUTE_S + 240, MINUTE_S + 300)
    assert not_running(hour._replace(over_s=MINUTE_S + 240))[-1] == (MINUTE_S + 120, MINUTE_S + 180)


def test_a_period_after_the_last_look_was_not_watched_at_all() -> None:
    assert not_running(_evidence([])) == [(MINUTE_S, MINUTE_S + 240)]
    assert not_running(_evidence(ledger=Ledger([], {}, {}))) == []


def test_a_store_that_holds_less_than_the_ledger_says_does_not_reconcile() -> None:
    assert reconciles(_evidence(kept=(Kept("bus-5", "stored", 1499, 1499),)))
    evidence = _evidence(kept=(Kept("bus-5", "stored", 1499, 1498),))
    assert not reconciles(evidence)
    assert list(statement(evidence))[-1] == (
        "Of bus-5 the ledger says 1,499 records of requests; the store holds 1,498."
    )


def test_a_row_a_minute_and_source_carries_what_is_under_way() -> None:
    rows = list(minute_rows(_evidence().ledger))
    assert [(row["minute"][11:16], row["received"], row["pending"]) for row in rows] == [
        ("18:57", 1000, 14),
        ("18:58", 500, 0),
        ("19:00", 0, 0),
    ]
    assert rows[1]["parsed"] == 509


def test_a_period_without_an_account_says_so() -> None:
    evidence = _evidence(
        [], gaps=(), processes=(), requests={}, unsettled=0, dropped_by_edge=0, without_counter=0
    )
    evidence = evidence._replace(ledger=Ledger([], {}, {}))
    (said,) = statement(evidence)
    assert said == (
        "From 2026-11-23T18:57:00Z to 2026-11-23T19:01:00Z Hoptrail kept no account: it did not run, or not with "
        "this store."
    )


def test_requests_are_counted_by_their_start_whatever_hour_their_place_in_the_store_is(
    data_dir: Path, documents: list[dict[str, Any]]
) -> None:
    since, until = "2026-11-23T18:57:00", "2026-11-23T18:58:00"
    inside = [one for one in documents if since <= one["start_time"] < until]
    connection = connect(parse_dsn(f"chdb://{data_dir}/store"))
    try:
        evidence = gather(connection.client, MINUTE_S, MINUTE_S + 60, check=False)
    finally:
        connection.close()
    assert sum(evidence.requests.values()) == len(inside) > 1000
    assert evidence.requests["complete"] == sum(one["outcome"] == "complete" for one in inside)
