"""How long and how much may wait."""

from __future__ import annotations

from typing import NamedTuple


class JoinLimits(NamedTuple):
    """How long and how much may wait."""

    window_ns: int
    max_pending: int
    """Halves; above it the oldest are given up."""
    max_per_key: int
    """Records that may share an id; above it the id is taken for a constant."""
    show_after_ns: int = 0
    """After how long what still waits is given by `unfinished`; 0: never."""
    max_unpacked: int = 16_384
    """Halves that are held as they came: of those that came last, whose others are likeliest to come next."""
