"""Where the offsets of a new bus begin.

An offset names a record for good, so two buses must not hand out the same ones: each starts at a random
multiple of 2**40, which leaves room for 2**40 records and keeps every offset below 2**62.
"""

from __future__ import annotations

import secrets

_STEP = 2**40
_STARTS = 2**22


def draw_first_offset() -> int:
    """Draw the first offset of a new bus; never 0."""
    return (1 + secrets.randbelow(_STARTS - 1)) * _STEP
