"""Entries that the strict decoder refuses lose what is odd about them, and nothing beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MalformedLine
from pipeline.formats import flags as flag
from pipeline.formats.kong_entry import Attempted, Entry, Headers, Request
from pipeline.formats.kong_lenient import bound, decode_leniently

WHOLE: dict[str, Any] = {
    "request": {"id": "a" * 32, "method": "GET", "uri": "/", "size": 5, "headers": {"host": "h", "user-agent": "ua"}},
    "response": {"status": 200, "size": 7}, "latencies": {"kong": 1, "proxy": 2}, "started_at": 1795460245226,
    "tries": [{"ip": "192.0.2.1", "port": 80}], "client_ip": "192.0.2.9", "service": {"id": "s", "name": "orders"},
}  # fmt: skip
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def read(tree: Any) -> tuple[Entry, list[str]]:
    flags: list[str] = []
    return decode_leniently(json.dumps(tree).encode(), flags), flags


def test_a_whole_entry_is_read_as_it_is() -> None:
    entry, flags = read(WHOLE)
    assert flags == []
    assert (entry.request.id if entry.request else "", entry.started_at, entry.client_ip) == (
        "a" * 32,
        1795460245226,
        "192.0.2.9",
    )


def test_bytes_that_are_not_utf_8_stand_as_what_they_are_and_are_told() -> None:
    flags: list[str] = []
    entry = decode_leniently(json.dumps(WHOLE).encode().replace(b'"ua"', b'"u\xffa"'), flags)
    assert flags == [flag.NOT_UTF8]
    assert entry.request is not None
    assert entry.request.headers is not None
    assert entry.request.headers.user_agent == "u\\xffa"
    assert entry.request.headers.host == "h"


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "request"])
@given(value=anything)
def test_a_field_of_any_type_costs_none_of_its_neighbours(name: str, value: Any) -> None:
    entry, _ = read({**WHOLE, name: value})
    for other in WHOLE:
        if other != name:
            assert getattr(entry, other) == getattr(read(WHOLE)[0], other)


def test_within_a_field_only_what_does_not_fit_is_left_out() -> None:
    request = {**WHOLE["request"], "size": {}, "headers": {"host": 7, "user-agent": "ua"}}
    entry, flags = read({**WHOLE, "request": request})
    assert flags == [flag.ODD_TYPES]
    assert entry.request == Request("a" * 32, "GET", "/", None, None, Headers(user_agent="ua"), None)


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"null", b"not json", b'{"request":'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedLine):
        decode_leniently(body, [])


def test_texts_and_lists_are_bounded_wherever_they_stand() -> None:
    endless = "x" * 10_000
    entry = Entry(
        request=Request(id=endless, headers=Headers(host=["y", endless])),
        tries=[Attempted(ip=endless) for _ in range(100)],
        client_ip="h",
    )
    assert bound(entry)
    assert entry.request is not None
    assert entry.request.headers is not None
    assert len(entry.request.id) == 8192
    assert [len(text) for text in entry.request.headers.host or ()] == [1, 8192]
    assert isinstance(entry.tries, list)
    assert len(entry.tries) == 64
    assert all(len(attempted.ip or "") == 8192 for attempted in entry.tries)
    assert not bound(entry)
