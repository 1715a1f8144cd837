from typing import Any

import pytest

from pipeline.report.manifest import Tally, completeness


def document(**fields: Any) -> dict[str, Any]:
    return {
        "outcome": "complete", "match": "proven", "missing": None, "status": 200, "final": True,
        "identity": {"kind": "none"}, "verdict": {"domain": "ok"},
    } | fields  # fmt: skip


def evidence(**fields: Any) -> dict[str, Any]:
    return {
        "reconciles": True,
        "sources": {"haproxy": {"received": 2, "dropped": 0}},
        "not_running": [],
        "edge_lines": {"missing": 0, "dropped_by_edge": 0},
    } | fields


def tally(*documents: dict[str, Any]) -> Tally:
    counted = Tally()
    for one in documents:
        counted.add(one)
    return counted


def test_a_period_in_which_nothing_is_known_to_lack_is_complete() -> None:
    found = completeness(tally(document()), evidence(), 0)
    assert (found["state"], found["because"]) == ("complete", [])


@pytest.mark.parametrize(
    ("documents", "of_ledger", "dead_letters", "word"),
    [
        ([document(missing="edge_log_lost")], {}, 0, "half"),
        ([document(final=False)], {}, 0, "finished"),
        ([], {"edge_lines": {"missing": 3, "dropped_by_edge": 0}}, 0, "3 lines that HAProxy counted"),
        ([], {"edge_lines": {"missing": 0, "dropped_by_edge": 4}}, 0, "thrown away"),
        ([], {"sources": {"kong": {"dropped": 1}}}, 0, "dropped"),
        ([], {"sources": {"kong": {"messages_gone": {"retention": 2}}}}, 0, "2 messages of many records"),
        ([], {"reconciles": False}, 0, "add up"),
        ([], {}, 5, "dead letters"),
    ],
)
def test_whatever_is_known_to_lack_makes_it_incomplete(
    documents: list[dict[str, Any]], of_ledger: dict[str, Any], dead_letters: int, word: str
) -> None:
    found = completeness(tally(*documents), evidence(**of_ledger), dead_letters)
    assert found["state"] == "incomplete"
    assert word in " ".join(found["because"])


@pytest.mark.parametrize("of_ledger", [{"sources": {}}, {"not_running": [{"from": "a", "to": "b"}]}])
def test_what_nobody_watched_is_unknown(of_ledger: dict[str, Any]) -> None:
    assert completeness(tally(document()), evidence(**of_ledger), 0)["state"] == "unknown"


def test_a_period_that_is_not_over_is_unknown() -> None:
    found = completeness(tally(document()), evidence(), 0, is_over=False)
    assert (found["state"], len(found["because"])) == ("unknown", 1)


def test_counts_are_by_value_and_name_what_is_missing() -> None:
    counts = tally(document(), document(status=401), document(status=None)).counts()
    assert counts["status"] == {"200": 1, "401": 1, "none": 1}
    assert counts["identity"] == {"none": 3}
