from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pipeline.join.group import Group
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.model import EdgeRecord, GatewayRecord, Source

T0_NS = 1_795_460_243_000_000_000
WINDOW_NS = 30 * 10**9
LIMITS = JoinLimits(window_ns=WINDOW_NS, max_pending=1000, max_per_key=8)

MakeEdge = Callable[..., EdgeRecord]
MakeAttempt = Callable[..., GatewayRecord]


@pytest.fixture(params=[0, LIMITS.max_unpacked], ids=["packed", "unpacked"])
def joiner(request: pytest.FixtureRequest) -> Joiner:
    """Give a joiner that packs what waits at each `due`, and one that does so only much later."""
    return Joiner(LIMITS._replace(max_unpacked=request.param))


def _only(groups: Sequence[Group]) -> Group:
    (group,) = groups
    return group


def test_a_pair_is_complete_at_once_in_either_order(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    for first, second in ((edge(), attempt()), (attempt(), edge())):
        joiner = Joiner(LIMITS)
        joiner.add(first, T0_NS)
        assert joiner.due(T0_NS) == []
        assert joiner.pending == 1
        joiner.add(second, T0_NS + 1)
        group = _only(joiner.due(T0_NS + 1))
        assert (len(group.edges), len(group.attempts), group.closed) == (1, 1, "complete")
        assert (joiner.pending, joiner.pending_bytes, joiner.oldest_arrival_ns) == (0, 0, None)


def test_a_lone_half_is_given_when_its_window_ends_and_not_before(joiner: Joiner, edge: MakeEdge) -> None:
    joiner.add(edge(), T0_NS)
    assert joiner.due(T0_NS + WINDOW_NS - 1) == []
    assert joiner.oldest_arrival_ns == T0_NS
    assert _only(joiner.due(T0_NS + WINDOW_NS)).closed == "window"
    assert joiner.pending == 0


def test_an_edge_record_that_expects_no_gateway_waits_for_nothing(joiner: Joiner, edge: MakeEdge) -> None:
    joiner.add(edge(termination="PR--", status=403, server=None), T0_NS)
    assert _only(joiner.due(T0_NS)).closed == "complete"


def test_retries_are_waited_for(joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt) -> None:
    joiner.add(attempt("a" * 31 + "1", status=503), T0_NS)
    joiner.add(edge(retries=2), T0_NS)
    joiner.add(attempt("a" * 31 + "2", status=503), T0_NS)
    assert joiner.due(T0_NS) == []
    assert joiner.pending == 3
    joiner.add(attempt("a" * 31 + "3"), T0_NS)
    assert len(_only(joiner.due(T0_NS)).attempts) == 3


def test_the_attempt_whose_id_the_edge_captured_is_waited_for(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    captured = "c" * 30 + "01"
    joiner.add(edge(gateway_request_id=captured), T0_NS)
    joiner.add(attempt("d" * 30 + "02"), T0_NS)
    assert joiner.due(T0_NS) == []
    joiner.add(attempt(captured), T0_NS)
    assert len(_only(joiner.due(T0_NS)).attempts) == 2


def test_key_b_alone_brings_halves_together_in_either_order(edge: MakeEdge, attempt: MakeAttempt) -> None:
    captured = "0123456789abcdef0123456789abcdef"
    for turned in (False, True):
        joiner = Joiner(LIMITS)
        records = [edge(gateway_request_id=captured), attempt(captured, request_ids=())]
        for record in reversed(records) if turned else records:
            joiner.add(record, T0_NS)
        group = _only(joiner.due(T0_NS))
        assert (len(group.edges), len(group.attempts)) == (1, 1)


def test_a_request_id_equal_to_anothers_gateway_id_gathers_nothing(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    victim = "0123456789abcdef0123456789abcdef"
    joiner.add(edge(gateway_request_id=victim), T0_NS)
    joiner.add(attempt("f" * 30 + "01", request_ids=(victim,)), T0_NS)
    assert joiner.due(T0_NS) == []
    assert len(joiner.flush()) == 2


def test_strangers_that_send_one_id_are_not_gathered(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    """45 of 1544 real entries carried an id of the client's beside the edge's."""
    for number in range(20):
        own = f"edge-made-id-{number:04}"
        joiner.add(attempt(f"{number:032x}", request_ids=("id-of-a-client", own)), T0_NS)
    for number in range(20):
        joiner.add(edge(f"edge-made-id-{number:04}"), T0_NS)
    groups = joiner.due(T0_NS)
    assert len(groups) == 20
    assert all((len(group.edges), len(group.attempts)) == (1, 1) for group in groups)


def test_the_edges_element_is_found_wherever_it_stands_in_a_list(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    own = "edge-made-id-0001"
    joiner.add(attempt(request_ids=(own, "appended-by-somebody")), T0_NS)
    joiner.add(edge(own), T0_NS)
    assert len(_only(joiner.due(T0_NS)).attempts) == 1


def test_attempts_without_an_edge_record_go_together_by_their_last_id(
    joiner: Joiner, attempt: MakeAttempt
) -> None:
    joiner.add(attempt("a" * 30 + "01", request_ids=("shared-by-a-client", "edge-made-id-1")), T0_NS)
    joiner.add(attempt("a" * 30 + "02", request_ids=("edge-made-id-1",)), T0_NS)
    joiner.add(attempt("a" * 30 + "03", request_ids=("shared-by-a-client", "edge-made-id-2")), T0_NS)
    sizes = sorted(len(group.attempts) for group in joiner.due(T0_NS + WINDOW_NS))
    assert sizes == [1, 2]


def test_windows_can_be_ended_in_parts(joiner: Joiner, edge: MakeEdge) -> None:
    for number in range(10):
        joiner.add(edge(f"edge-made-id-{number:04}"), T0_NS + number)
    sizes = []
    while joiner.pending:
        sizes.append(len(joiner.flush(4)))
    assert sizes == [4, 4, 2]
    assert joiner.flush(4) == []


@pytest.mark.parametrize("constant", ["", "-", "test", "00000000-0000-0000-0000-000000000000"])
def test_known_constants_are_never_joined_on(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt, constant: str
) -> None:
    joiner.add(edge(constant), T0_NS)
    for number in range(3):
        joiner.add(attempt(f"{number:032x}", request_ids=(constant,) if constant else ()), T0_NS)
    assert [len(group.edges) + len(group.attempts) for group in joiner.flush()] == [1, 1, 1, 1]


def test_an_id_shared_by_thousands_is_found_out_and_no_longer_joined_on(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    constant = "a-constant-of-the-configuration"
    groups: list[Group] = []
    for number in range(2000):
        joiner.add(edge(constant, start_us=1_795_460_243_000_000 + number, retries=9), T0_NS + number)
        joiner.add(attempt(f"{number:032x}", request_ids=(constant,)), T0_NS + number)
        groups += joiner.due(T0_NS + number)
    groups += joiner.flush()
    records = [len(group.edges) + len(group.attempts) for group in groups]
    assert sum(records) == 4000
    assert max(records) <= LIMITS.max_per_key + 2
    assert sum(group.crowded for group in groups) > 3900


def test_an_id_that_ever_new_pairs_carry_is_found_out_too(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    constant = "a-constant-of-the-configuration"
    for number in range(100):
        joiner.add(edge(constant, start_us=1_795_460_243_000_000 + number), T0_NS + number)
        joiner.add(attempt(f"{number:032x}", request_ids=(constant,)), T0_NS + number)
    groups = joiner.flush()
    assert sum(group.crowded for group in groups) > 150


def test_a_copy_is_counted_and_not_held(joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt) -> None:
    half = attempt()
    joiner.add(half, T0_NS)
    joiner.add(attempt(attempt_id=half.attempt_id, offset=77), T0_NS)
    assert joiner.pending == 1
    joiner.add(edge(retries=1), T0_NS)
    joiner.add(attempt(attempt_id=half.attempt_id, offset=78), T0_NS)
    group = _only(joiner.flush())
    assert sorted(group.copies) == [(Source.KONG, 77), (Source.KONG, 78)]
    assert len(group.attempts) == 1


def test_what_comes_after_an_early_end_asks_the_store(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    joiner.add(edge(), T0_NS)
    joiner.add(attempt(), T0_NS)
    assert not _only(joiner.due(T0_NS)).look_up
    joiner.add(attempt("e" * 30 + "02"), T0_NS + 10**9)
    assert _only(joiner.flush()).look_up


def test_what_comes_later_than_its_window_asks_the_store(joiner: Joiner, attempt: MakeAttempt) -> None:
    joiner.add(attempt(), T0_NS + WINDOW_NS + 2 * 10**6)
    assert _only(joiner.flush()).look_up


def test_a_half_of_a_clock_that_runs_ahead_asks_the_store(joiner: Joiner, attempt: MakeAttempt) -> None:
    joiner.add(attempt(), T0_NS - WINDOW_NS)
    assert _only(joiner.flush()).look_up


def test_too_many_halves_give_up_the_oldest_as_evicted(edge: MakeEdge) -> None:
    joiner = Joiner(LIMITS._replace(max_pending=10))
    for number in range(15):
        joiner.add(edge(f"edge-made-id-{number:04}"), T0_NS + number)
    evicted = joiner.due(T0_NS + 15)
    assert [group.edges[0].request_id for group in evicted] == [f"edge-made-id-{n:04}" for n in range(5)]
    assert {group.closed for group in evicted} == {"evicted"}
    assert joiner.pending == 10


def test_a_half_of_an_evicted_one_asks_the_store(edge: MakeEdge, attempt: MakeAttempt) -> None:
    joiner = Joiner(LIMITS)
    joiner.add(edge(), T0_NS)
    assert _only(joiner.evict(1)).closed == "evicted"
    joiner.add(attempt(), T0_NS + 1)
    assert _only(joiner.flush()).look_up


def test_many_early_ends_leave_nothing_behind(joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt) -> None:
    for number in range(30_000):
        request_id = f"edge-made-id-{number:08}"
        joiner.add(edge(request_id), T0_NS)
        joiner.add(attempt(f"{number:032x}", request_ids=(request_id,)), T0_NS)
        joiner.due(T0_NS)
    assert (joiner.pending, joiner.pending_bytes) == (0, 0)
    assert len(joiner._held._queue) + len(joiner._held._young) < 25_000
    assert not joiner._held.index._at


def test_two_edge_records_with_one_id_wait_for_an_attempt_each(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt
) -> None:
    joiner.add(edge(node="edge-1", gateway_request_id="a" * 30 + "01"), T0_NS)
    joiner.add(edge(node="edge-2", gateway_request_id="a" * 30 + "02"), T0_NS)
    joiner.add(attempt("a" * 30 + "01"), T0_NS)
    assert joiner.due(T0_NS) == []
    joiner.add(attempt("a" * 30 + "02"), T0_NS)
    group = _only(joiner.due(T0_NS))
    assert (len(group.edges), len(group.attempts)) == (2, 2)


def test_copies_of_groups_that_turn_out_one_leave_with_it(joiner: Joiner, edge: MakeEdge) -> None:
    first, second = edge("edge-made-id-0001"), edge("edge-made-id-0002", gateway_request_id="c" * 32)
    for record in (first, first, second, second, second):
        joiner.add(record, T0_NS)
    joiner.add(edge("edge-made-id-0001", gateway_request_id="c" * 32, node="edge-2"), T0_NS)
    group = _only(joiner.flush())
    assert (len(group.edges), len(group.copies)) == (3, 3)


@pytest.mark.parametrize("which", [0, 1])
def test_whichever_of_lone_attempts_an_edge_record_comes_late_for_the_store_is_asked(
    joiner: Joiner, edge: MakeEdge, attempt: MakeAttempt, which: int
) -> None:
    ids = ("c" * 31 + "1", "c" * 31 + "2")
    for gateway_id in ids:
        joiner.add(attempt(gateway_id), T0_NS)
    late_ns = T0_NS + WINDOW_NS
    assert len(_only(joiner.due(late_ns)).attempts) == 2
    joiner.add(edge("edge-made-id-0009", gateway_request_id=ids[which], start_us=late_ns // 1000), late_ns)
    joiner.add(edge("edge-made-id-0010", gateway_request_id="d" * 32, start_us=late_ns // 1000), late_ns)
    assert [group.look_up for group in joiner.flush()] == [True, False]


@pytest.mark.parametrize("first", ["edge", "attempt"])
def test_the_store_is_asked_for_what_was_shown_while_it_waited(
    edge: MakeEdge, attempt: MakeAttempt, first: str
) -> None:
    shown_ns = T0_NS + 2 * 10**9
    halves = [edge(), attempt()] if first == "edge" else [attempt(), edge()]
    joiner = Joiner(LIMITS._replace(show_after_ns=10**9))
    joiner.add(halves[0], T0_NS)
    assert _only(joiner.unfinished(shown_ns, 10)).closed == "pending"
    joiner.add(halves[1], shown_ns)
    group = _only(joiner.due(shown_ns))
    assert (group.closed, group.look_up) == ("complete", True)


@pytest.mark.parametrize("order", [1, -1])
def test_lone_attempts_of_which_one_may_be_stored_are_looked_for_together(
    joiner: Joiner, attempt: MakeAttempt, order: int
) -> None:
    started_us = T0_NS // 1000
    both = [
        attempt("c" * 31 + "1", started_us=started_us),
        attempt("c" * 31 + "2", started_us=started_us - 60_000_000),
    ]
    for one in both[::order]:
        joiner.add(one, T0_NS)
    assert _only(joiner.flush()).look_up
