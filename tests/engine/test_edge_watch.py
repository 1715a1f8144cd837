"""What is missing of the last minutes is told, and what may still come is not called missing."""

from __future__ import annotations

from pipeline.clock import ManualClock
from pipeline.contracts import Account
from pipeline.engine.edge_watch import EdgeWatch
from pipeline.errors import StoreUnavailable
from pipeline.store.gaps import EdgeLoss, Gap

NOW_S = 1_795_460_220
BASE = 5 << 40


def _gap(missing: int, offset: int) -> Gap:
    after = 100 + offset - BASE
    at_us = (NOW_S - 30) * 10**6
    return Gap("edge-1", 77, "public", after, after + missing + 1, missing, at_us, at_us, offset)


class Store:
    """Answers what it was told to, or not at all."""

    def __init__(self, *gaps: Gap) -> None:
        self.loss: EdgeLoss | None = EdgeLoss(list(gaps), 9)
        self.asked: list[tuple[int, int]] = []

    async def edge_loss(self, since_s: int, until_s: int) -> EdgeLoss:
        self.asked.append((since_s, until_s))
        if self.loss is None:
            raise StoreUnavailable("away")
        return self.loss


def _watch(store: Store, committed: int) -> EdgeWatch:
    account = Account({}, {}, committed)
    return EdgeWatch(store.edge_loss, lambda: {"bus": account}, ManualClock(NOW_S * 10**9))


async def test_gaps_behind_which_something_is_uncommitted_do_not_count_yet() -> None:
    watch = _watch(store := Store(_gap(3, BASE + 10), _gap(5, BASE + 20)), BASE + 15)
    await watch.look()
    assert store.asked == [(NOW_S - 600, NOW_S)]
    assert (watch.missing, watch.dropped) == (3, 9)
    (shown,) = watch.document()["gaps"]
    assert (shown["missing"], shown["pid"], shown["frontend"]) == (3, 77, "public")


async def test_a_store_that_is_away_leaves_what_is_known_as_it_is() -> None:
    watch = _watch(store := Store(_gap(3, BASE + 10)), BASE + 15)
    await watch.look()
    store.loss = None
    await watch.look()
    assert watch.missing == 3


async def test_before_the_first_look_nothing_is_said_to_be_whole() -> None:
    assert _watch(Store(), BASE).document()["looked_at"] is None


async def test_where_lines_come_in_no_order_a_gap_counts_once_all_before_its_end_is_stored() -> None:
    """Its own offset says nothing there; and who does not lead says nothing, nor asks."""
    told: list[int | None] = [0, NOW_S - 30, NOW_S - 29, None]

    async def settled_s() -> int | None:
        return told.pop(0)

    store = Store(_gap(3, BASE + 10))
    watch = EdgeWatch(store.edge_loss, dict, ManualClock(NOW_S * 10**9), settled_s=settled_s)
    seen = []
    while told:
        await watch.look()
        seen.append((watch.missing, watch.dropped))
    assert seen == [(0, 9), (0, 9), (3, 9), (0, 0)]
    assert len(store.asked) == 3
