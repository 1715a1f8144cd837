"""PURE: finds the rows that a store refuses among those that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.errors import StoreUnavailable
from pipeline.store.connection import Refused

_T = TypeVar("_T")

MOST_CULPRITS = 64
"""Rows of one batch that may be refused; more are no bad rows but a schema that does not fit."""


def put_bisecting(rows: Sequence[_T], put: Callable[[Sequence[_T]], None]) -> list[tuple[_T, str]]:
    """Put rows, halving what is refused until the culprits stand alone; all others are in.

    Args:
        rows: In the order in which they must become visible.
        put: Makes rows durable, together or not at all.

    Returns:
        Each culprit with its reason.

    Raises:
        StoreUnavailable: It may pass later; or so much is refused that the rows cannot be the reason.
    """
    culprits: list[tuple[_T, str]] = []
    waiting = [rows] if rows else []
    while waiting:
        part = waiting.pop()
        try:
            put(part)
        except Refused as error:
            if len(part) > 1:
                middle = len(part) // 2
                waiting += (part[middle:], part[:middle])
                continue
            if not error.by_content or len(culprits) >= MOST_CULPRITS:
                raise StoreUnavailable(f"the store refuses row after row: {error.reason}") from error
            culprits.append((part[0], error.reason))
    return culprits
