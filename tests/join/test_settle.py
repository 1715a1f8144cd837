from __future__ import annotations

from collections.abc import Callable

from pipeline.join.group import Group
from pipeline.join.settle import settle
from pipeline.model import EdgeRecord, GatewayRecord, Lineage, Outcome, OutcomeKind, Source

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]


def _group(edges: list[EdgeRecord], attempts: list[GatewayRecord], closed: str = "window") -> Group:
    return Group(edges, attempts, closed, look_up=True)  # type: ignore[arg-type] # a literal of the closed list


def _row(edges: list[EdgeRecord], attempts: list[GatewayRecord]) -> Lineage:
    (row,) = settle(_group(edges, attempts), ()).lineages
    return row


def test_a_late_half_renews_the_row_under_its_old_name(edge: MakeEdge, attempt: MakeAttempt) -> None:
    known, late = edge(), attempt()
    before = _row([known], [])
    assert (before.missing, before.outcome) == ("gateway_log_lost", "edge_only")
    settled = settle(_group([], [late]), [before])
    (after,) = settled.lineages
    assert (after.bucket_s, after.request_id, after.rec_id) == (
        before.bucket_s,
        before.request_id,
        before.rec_id,
    )
    assert after.rev > before.rev
    assert (after.outcome, after.missing, after.attempts) == ("complete", None, (late,))
    assert "late" in after.flags
    assert settled.outcomes == [(late.offset, Outcome(Source.KONG, OutcomeKind.STORED))]


def test_an_orphan_that_finds_its_edge_record_is_buried(edge: MakeEdge, attempt: MakeAttempt) -> None:
    orphan = _row([], [attempt()])
    assert (orphan.outcome, orphan.missing) == ("gateway_only", "edge_log_lost")
    row, tombstone = settle(_group([edge()], []), [orphan]).lineages
    assert row.outcome == "complete"
    assert tombstone.is_deleted
    assert tombstone.rec_id == orphan.rec_id
    assert tombstone.rev > orphan.rev


def test_a_redelivered_record_is_a_duplicate_and_changes_nothing(
    edge: MakeEdge, attempt: MakeAttempt
) -> None:
    first, half = edge(), attempt()
    stored = _row([first], [half])
    again = [edge(rec_id=first.rec_id, offset=900)], [attempt(attempt_id=half.attempt_id, offset=901)]
    settled = settle(_group(*again), [stored])
    assert settled.lineages == []
    assert [outcome.kind for _, outcome in settled.outcomes] == [OutcomeKind.DUPLICATE] * 2


def test_our_own_replay_after_a_kill_is_counted_as_stored(edge: MakeEdge, attempt: MakeAttempt) -> None:
    first, half = edge(), attempt()
    stored = _row([first], [half])
    settled = settle(_group([first], [half]), [stored])
    assert settled.lineages == []
    assert [outcome.kind for _, outcome in settled.outcomes] == [OutcomeKind.STORED] * 2


def test_copies_within_a_group_are_duplicates(edge: MakeEdge, attempt: MakeAttempt) -> None:
    group = Group([edge()], [attempt()], "complete", look_up=False, copies=[(Source.KONG, 77)])
    settled = settle(group, ())
    assert (77, Outcome(Source.KONG, OutcomeKind.DUPLICATE)) in settled.outcomes
    assert len(settled.outcomes) == 3


def test_two_edge_records_with_one_id_stay_two_rows_in_conflict(edge: MakeEdge, attempt: MakeAttempt) -> None:
    first = _row([edge(node="edge-1")], [attempt()])
    settled = settle(_group([edge(node="edge-2", start_us=first.edge.start_us + 900)], []), [first])  # type: ignore[union-attr] # it has one
    assert len(settled.lineages) == 2
    assert {row.match for row in settled.lineages} == {"conflict"}
    assert all("id_reuse" in row.flags for row in settled.lineages)
    assert sum(len(row.attempts) for row in settled.lineages) == 1


def test_an_attempt_that_finds_a_better_owner_leaves_the_first(edge: MakeEdge, attempt: MakeAttempt) -> None:
    """Rows whose attempts become fewer must still win over what they were."""
    half = attempt("a" * 30 + "01")
    first = edge(node="edge-1")
    before = _row([first], [half])
    better = edge(node="edge-2", gateway_request_id="a" * 30 + "01")
    rows = settle(_group([better], []), [before]).lineages
    left = next(row for row in rows if row.rec_id == first.rec_id)
    assert left.attempts == ()
    assert left.rev > before.rev


def test_an_evicted_half_is_not_final_and_its_other_half_makes_it_so(
    edge: MakeEdge, attempt: MakeAttempt
) -> None:
    (evicted,) = settle(_group([edge()], [], "evicted"), ()).lineages
    assert (evicted.missing, evicted.final) == ("evicted", False)
    (whole,) = settle(_group([], [attempt()]), [evicted]).lineages
    assert (whole.missing, whole.final) == (None, True)


def test_a_row_that_stands_in_the_store_as_it_is_is_not_written_again(
    edge: MakeEdge, attempt: MakeAttempt
) -> None:
    stored = _row([edge()], [attempt()])
    late = attempt("e" * 30 + "02", request_ids=("another-id-altogether",))
    settled = settle(_group([], [late]), [stored])
    assert [row.request_id for row in settled.lineages] == ["another-id-altogether"]
