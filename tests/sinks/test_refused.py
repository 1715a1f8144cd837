"""What is kept of a lineage that no store takes."""

import json
from collections.abc import Callable

import pytest

from pipeline.model import Lineage, Source
from pipeline.sinks.refused import REASON, dead_letters_of


def test_each_record_becomes_a_dead_letter_under_its_own_offset(lineage: Callable[..., Lineage]) -> None:
    row = lineage(7, path="/x")
    edge, attempt = dead_letters_of(row, "CANNOT_PARSE_NUMBER")
    assert (edge.source, edge.offset, edge.reason, edge.detail) == (
        Source.HAPROXY,
        14,
        REASON,
        "CANNOT_PARSE_NUMBER",
    )
    assert json.loads(edge.body)["path"] == "/x"
    assert (attempt.source, attempt.offset, attempt.peer) == (Source.KONG, 15, "192.0.2.1")


def test_the_same_record_gives_the_same_dead_letter(lineage: Callable[..., Lineage]) -> None:
    assert list(dead_letters_of(lineage(7), "x")) == list(dead_letters_of(lineage(7), "x"))


@pytest.mark.parametrize("path", ["\ud800", "x" * 100_000])
def test_a_record_that_no_json_holds_is_kept_escaped_and_bounded(
    lineage: Callable[..., Lineage], path: str
) -> None:
    edge, _ = dead_letters_of(lineage(7, path=path), "cannot_encode")
    assert "path" in edge.body
    assert len(edge.body) <= 64 * 1024
    edge.body.encode()
