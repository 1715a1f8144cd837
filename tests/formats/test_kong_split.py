"""Bodies are split into entries, bytes verbatim; a broken one costs none of its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import MalformedLine
from pipeline.formats.kong_split import split_body

MEGABYTE = 1 << 20


def test_a_poisoned_entry_costs_none_of_its_neighbours() -> None:
    entry = b'{"request":{"id":"%d","headers":{}},"tries":[{"ip":"a"},{"ip":"b"}],"started_at":1795460245226}'
    good = [entry % number for number in range(99)]
    for bad in (
        b'{"a":"\xff"}',
        b'{"a":NaN}',
        b"nonsense",
        b'{"a":"open}',
        b'{"a":[1}',
        b"}",
        b"[" * 90_000,
        b'"',
        b'{"u":"%s"}' % (b"x" * 5 * MEGABYTE),
    ):
        entries = split_body(b"[" + b",".join([*good[:50], bad, *good[50:]]) + b"]")
        assert [item for item in entries if item in good] == good
        assert len(entries) == 100
        entries = split_body(b"\n".join([*good[:50], bad, *good[50:]]))
        assert [item for item in entries if item in good] == good


def test_entries_joined_and_split_are_the_same(kong_entries: list[Any]) -> None:
    bodies = [entry.body for entry in kong_entries]
    assert split_body(b"[" + b",".join(bodies) + b"]") == bodies
    assert split_body(b"\n".join(bodies) + b"\n") == bodies
    assert split_body(b"".join(bodies[:1])) == bodies[:1]


def test_captured_batches_hold_what_was_put_into_them(
    captures: Path, kong_bodies: Callable[[Path], list[bytes]]
) -> None:
    counts = [len(split_body(body)) for body in kong_bodies(captures / "kong" / "batch_25.jsonl")]
    assert sum(counts) == 25
    assert max(counts) > 1


@pytest.mark.parametrize(
    ("body", "entries"),
    [
        (b"", []),
        (b" \n\x00", []),
        (b"[]", []),
        (b'{"a":1}', [b'{"a":1}']),
        (b' [ {"a":1} , {"b":[2]} ]\n', [b'{"a":1}', b'{"b":[2]}']),
        (b'[{"a":1},2,"x",null]', [b'{"a":1}', b"2", b'"x"', b"null"]),
        (b'{"a":1}\n\n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
        (b'[{"a":1}]\n[{"b":NaN}]', [b'{"a":1}', b'{"b":NaN}']),
        (b'{"a":1} trailing', [b'{"a":1} trailing']),
        (b'[{"a":1},{"b":', [b'{"a":1}', b'{"b":']),
    ],
)
def test_bodies_are_split_at_their_borders(body: bytes, entries: list[bytes]) -> None:
    assert split_body(body) == entries


@pytest.mark.parametrize("body", [b"nonsense", b'"text"', b"\xff", b"1"])
def test_what_begins_as_nothing_known_cannot_be_split(body: bytes) -> None:
    with pytest.raises(MalformedLine, match="not_splittable"):
        split_body(body)
