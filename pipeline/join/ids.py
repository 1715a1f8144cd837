"""Which ids can tell requests apart.

Constants that clients and configurations write instead of an id (`-`, `test`, a nil UUID) would gather
strangers in one lineage; they are shown, and never joined on.
"""

from __future__ import annotations

from collections.abc import Iterable

_SHORTEST = 8
"""Characters: HAProxy's documented unique-id-format gives 20 or more, a UUID 36."""
_FEWEST_DISTINCT = 4
"""Different characters: `00000000-0000-0000-0000-000000000000` has two."""


def can_be_joined_on(request_id: str) -> bool:
    """Whether an id may be unique to a request: long enough, and not one character again and again."""
    if len(request_id) < _SHORTEST:
        return False
    # Nearly always the first characters differ enough; looking at all of them costs four times as much.
    return len(set(request_id[:_SHORTEST])) >= _FEWEST_DISTINCT or len(set(request_id)) >= _FEWEST_DISTINCT


def joinable(request_ids: Iterable[str]) -> list[str]:
    """Keep the ids that may be unique, each once, in the order given."""
    return [request_id for request_id in dict.fromkeys(request_ids) if can_be_joined_on(request_id)]
