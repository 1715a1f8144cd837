"""The stories that the join exists for, from raw lines to stored lineages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

import pytest

from pipeline.join.phases import phases_of
from pipeline.model import Lineage, Outcome, OutcomeKind, Source
from pipeline.sinks.memory import MemoryStore

EdgeLine = Callable[..., bytes]
KongEntry = Callable[..., dict[str, object]]


class River(Protocol):
    """See `conftest.River`."""

    store: MemoryStore

    def flow(self, *deliveries: tuple[Source, bytes, float]) -> None: ...

    def lineage(self) -> Lineage: ...

    def counted(self, kind: OutcomeKind) -> int: ...

    def dropped(self, outcome: Outcome) -> int: ...


HAPROXY, KONG = Source.HAPROXY, Source.KONG
DAY_S = 86_400.0


def _post(*entries: dict[str, object]) -> bytes:
    return json.dumps(list(entries)).encode()


def test_retries_of_the_edge_are_one_lineage_with_all_attempts(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    ids = [f"{number:032x}" for number in (0xA1, 0xA2, 0xA3)]
    river.flow(
        (KONG, _post(kong_entry(ids[0], status=503), kong_entry(ids[1], status=503, after_ms=5)), 0.1),
        (HAPROXY, edge_line(rc="+2", kong_rid=ids[2]), 0.2),
        (KONG, _post(kong_entry(ids[2], after_ms=9)), 0.5),
    )
    row = river.lineage()
    assert [attempt.status for attempt in row.attempts] == [503, 503, 200]
    assert (row.delivered, row.match, row.final) == (2, "proven", True)
    assert row.verdict.code == "ok_after_retry"


@pytest.mark.parametrize("late_s", [45.0, 600.0, 5 * 3600.0, 3 * DAY_S])
@pytest.mark.parametrize("late", [HAPROXY, KONG])
def test_a_late_half_updates_the_same_lineage(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry, late: Source, late_s: float
) -> None:
    halves = {HAPROXY: edge_line(), KONG: _post(kong_entry())}
    early = KONG if late is HAPROXY else HAPROXY
    river.flow((early, halves[early], 0.1))
    alone = river.lineage()
    assert alone.missing == ("edge_log_lost" if late is HAPROXY else "gateway_log_lost")
    river.flow((late, halves[late], late_s))
    row = river.lineage()
    assert (row.outcome, row.match, row.missing) == ("complete", "matched", None)
    assert "late" in row.flags
    assert row.bucket_s == alone.bucket_s


def test_a_batch_that_kong_sends_again_adds_nothing(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    requests = [f"edge-made-id-{number:04}" for number in range(100)]
    lines = [(HAPROXY, edge_line(request_id, cp=str(n)), 0.1) for n, request_id in enumerate(requests)]
    batch = _post(*(kong_entry(f"{n:032x}", request_id) for n, request_id in enumerate(requests)))
    river.flow(*lines, (KONG, batch, 0.5), (KONG, batch, 10.5), (KONG, batch, 70.0))
    assert len(river.store.lineages) == 100
    assert river.counted(OutcomeKind.STORED) == 200
    assert river.counted(OutcomeKind.DUPLICATE) == 200


def test_one_entry_with_invalid_bytes_costs_no_neighbour(river: River, kong_entry: KongEntry) -> None:
    entries = [json.dumps(kong_entry(f"{n:032x}", f"edge-made-id-{n:04}")).encode() for n in range(100)]
    entries[50] = entries[50].replace(b"/open/0", b"/open/\xff")
    river.flow((KONG, b"[" + b",".join(entries) + b"]", 0.1))
    assert len(river.store.lineages) == 100
    assert sum("not_utf8" in row.flags for row in river.store.lineages) == 1


@pytest.mark.parametrize(
    ("poison", "is_stored"),
    [
        (b'{"request":{"id":"x"},"started_at":NaN}', False),
        (b'{"request": "' + b"x" * 5_000_000 + b'"}', False),
        (b'"not an object"', False),
        (b"nonsense", False),
        (b'{"no":"entry"}', False),
    ],
)
def test_one_poisoned_entry_is_dead_lettered_alone(
    river: River, kong_entry: KongEntry, poison: bytes, is_stored: bool
) -> None:
    entries = [json.dumps(kong_entry(f"{n:032x}", f"edge-made-id-{n:04}")).encode() for n in range(99)]
    entries.insert(50, poison)
    river.flow((KONG, b"[" + b",".join(entries) + b"]", 0.1))
    assert len(river.store.lineages) == 99 + is_stored
    assert river.counted(OutcomeKind.DEAD_LETTER) == len(river.store.dead_letters) == 1 - is_stored


def test_an_id_that_the_client_sent_beside_the_edges_is_not_taken(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    own = "47c60cd1-c353-4d74-97a9-702ea38ece29"
    victim = "11111111-2222-4333-8444-555555555555"
    river.flow(
        (HAPROXY, edge_line(victim, path="/victim", cp="1"), 0.1),
        (KONG, _post(kong_entry("a" * 32, victim), kong_entry("b" * 32, [victim, own])), 0.2),
        (HAPROXY, edge_line(own), 0.3),
    )
    rows = {row.request_id: row for row in river.store.lineages}
    assert {request_id: len(row.attempts) for request_id, row in rows.items()} == {own: 1, victim: 1}
    assert "spoofed_request_id" in rows[own].flags
    assert "spoofed_request_id" not in rows[victim].flags


@pytest.mark.parametrize("has_recipe", [True, False])
def test_a_client_that_sends_a_request_id_of_its_own_is_matched_right_and_counted_once(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry, has_recipe: bool
) -> None:
    """The recipe deletes the client's header and logs it as claimed; without it Kong gets both."""
    own = "47c60cd1-c353-4d74-97a9-702ea38ece29"
    river.flow(
        (HAPROXY, edge_line(own, c_rid="evil") if has_recipe else edge_line(own), 0.1),
        (KONG, _post(kong_entry(request_id=own if has_recipe else ["evil", own])), 0.2),
    )
    row = river.lineage()
    assert (row.request_id, row.outcome, row.match) == (own, "complete", "matched")
    assert row.flags.count("spoofed_request_id") == 1


def test_bytes_that_are_no_text_in_a_header_hide_no_request(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    entries = [json.dumps(kong_entry(f"{n:032x}", f"edge-made-id-{n:04}")).encode() for n in range(100)]
    entries[50] = entries[50].replace(b'"host":', b'"user-agent": "curl\xff", "host":')
    river.flow(
        *((HAPROXY, edge_line(f"edge-made-id-{n:04}", cp=str(n)), 0.1) for n in range(100)),
        (KONG, b"[" + b",".join(entries) + b"]", 0.2),
    )
    assert {row.outcome for row in river.store.lineages} == {"complete"}
    assert sum("not_utf8" in row.flags for row in river.store.lineages) == 1


@pytest.mark.parametrize("header", ["", ["", ""], "x" * 8192, "a, b", ["one-id-of-a-client"] * 3])
def test_a_forged_id_without_an_edge_record_stays_a_lineage_of_its_own(
    river: River, kong_entry: KongEntry, header: object
) -> None:
    river.flow((KONG, _post(kong_entry(request_id=header)), 0.1))
    row = river.lineage()
    assert row.outcome == "gateway_only"
    assert len(row.request_id) <= 256


def test_a_refused_attempt_whose_answer_was_not_delivered_is_a_conflict(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    river.flow((HAPROXY, edge_line(kong_rid="c" * 32), 0.1), (KONG, _post(kong_entry("d" * 32)), 0.2))
    row = river.lineage()
    assert (row.match, row.delivered) == ("conflict", None)


def test_the_gateways_id_alone_joins_and_says_so(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    river.flow((HAPROXY, edge_line(kong_rid="c" * 32), 0.1), (KONG, _post(kong_entry("c" * 32, None)), 0.2))
    row = river.lineage()
    assert (row.match, row.flags) == ("matched", ("edge_id_not_forwarded",))


def test_an_id_used_again_after_an_hour_is_two_lineages(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    later_us = 1_795_460_243_000_000 + 3_900_000_000
    again = edge_line(acc=f"{later_us // 1_000_000}.000", req_us=str(later_us), cp="40002")
    river.flow((HAPROXY, edge_line(), 0.1), (KONG, _post(kong_entry()), 0.2), (HAPROXY, again, 3900.1))
    first, second = sorted(river.store.lineages, key=lambda row: row.bucket_s)
    assert len(first.attempts) == 1
    assert second.attempts == ()


def test_two_nodes_with_one_id_are_kept_apart_and_flagged(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    river.flow(
        (HAPROXY, edge_line(node="edge-1", kong_rid="a" * 32), 0.1),
        (HAPROXY, edge_line(node="edge-2", kong_rid="b" * 32), 0.2),
        (KONG, _post(kong_entry("b" * 32), kong_entry("a" * 32)), 0.3),
    )
    rows = {row.edge.node: row for row in river.store.lineages if row.edge}
    assert {node: row.attempts[0].gateway_request_id for node, row in rows.items()} == {
        "edge-1": "a" * 32,
        "edge-2": "b" * 32,
    }
    assert {row.match for row in rows.values()} == {"conflict"}
    assert all("id_reuse" in row.flags for row in rows.values())


@pytest.mark.parametrize(
    ("fields", "missing", "domain"),
    [
        ({"st": 403, "ts": "PR--", "srv": "<NOSRV>", "Tc": -1, "Tr": -1, "Tw": -1}, "denied_at_edge", "edge"),
        ({"st": 503, "ts": "SC--", "Tc": -1, "Tr": -1, "rc": "+2"}, "gateway_unreachable", "gateway"),
        ({"st": 503, "ts": "SC--", "srv": "<NOSRV>", "Tc": -1, "Tr": -1}, "no_server", "gateway"),
        ({"st": 400, "ts": "PR--", "m": "<BADREQ>", "srv": "<NOSRV>", "id": "-"}, "bad_request", "client"),
    ],
)  # fmt: skip
def test_what_the_edge_ended_alone_has_its_reason_at_once(
    river: River, edge_line: EdgeLine, fields: dict[str, object], missing: str, domain: str
) -> None:
    river.flow((HAPROXY, edge_line(**fields), 0.1))
    row = river.lineage()
    assert (row.missing, row.final, row.verdict.domain) == (missing, True, domain)


def test_other_lines_of_haproxy_are_events_and_no_dead_letters(river: River) -> None:
    river.flow(
        (HAPROXY, b"<129>Nov 23 18:57:23 haproxy[7]: Server kong/k1 is DOWN, reason: Layer4.", 0.1),
        (HAPROXY, b"<133>1 2026-11-23T18:57:23+00:00 - haproxy 7 - - 1172 events dropped\x00", 0.2),
    )
    assert {event.kind for event in river.store.events} == {"server_state", "events_dropped"}
    assert river.dropped(Outcome(HAPROXY, OutcomeKind.EVENT)) == 2


def test_old_and_new_kong_mean_the_same_by_their_latencies(river: River, kong_entry: KongEntry) -> None:
    old = kong_entry("", "edge-made-id-0001", latencies={"kong": 3, "proxy": 3, "request": 6})
    new = kong_entry("a" * 32, "edge-made-id-0002")
    river.flow((KONG, _post(old, new), 0.1))
    rows = {row.request_id: row.attempts[0] for row in river.store.lineages}
    assert rows["edge-made-id-0001"].proxy_ms == rows["edge-made-id-0002"].proxy_ms == 3
    assert rows["edge-made-id-0001"].gateway_request_id is None


def test_clocks_that_disagree_make_no_negative_time(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry
) -> None:
    river.flow((HAPROXY, edge_line(), 0.1), (KONG, _post(kong_entry(after_ms=-400)), 0.2))
    row = river.lineage()
    assert row.attempts[0].started_us < row.edge.start_us
    assert all(phase.duration_ms > 0 and phase.start_ms >= 0 for phase in phases_of(row))


@pytest.mark.parametrize("state", ["", "-", "S", "s", "C", "??", "xy", "SCxx", "----x", "é", "\x00"])
@pytest.mark.parametrize("with_gateway", [False, True])
def test_a_termination_state_that_is_none_stops_nobody(
    river: River, edge_line: EdgeLine, kong_entry: KongEntry, state: str, with_gateway: bool
) -> None:
    other = "another-request-of-somebody"
    gateway = [(KONG, _post(kong_entry(status=499)), 0.2)] if with_gateway else []
    river.flow((HAPROXY, edge_line(ts=state), 0.1), *gateway, (HAPROXY, edge_line(other, cp="2"), 0.3))
    left = len(river.store.lineages) + len(river.store.dead_letters)
    assert left == 2
    assert other in {row.request_id for row in river.store.lineages}
    assert all(phase.duration_ms > 0 for row in river.store.lineages for phase in phases_of(row))
