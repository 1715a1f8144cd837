"""How a process that moves records sets its interpreter: once, at start."""

from __future__ import annotations

import gc
import sys

_SWITCH_S = 0.0002
"""A thread that parses holds the interpreter for this long before it lets an answer to Kong out. At Python's
default of 5 ms an answer takes 13 ms, at this 1 to 2 (`benchmarks/bench_http_log.py`); less costs the thread more
than 5 % of its time."""
_NEW_OBJECTS = 100_000
"""Objects made between two looks for cycles. Records hold none (`gc=False`), and a batch makes a million lists:
at the default of 700 a third of the time of settling goes into looking."""


def tune() -> None:
    """Set the interpreter for moving records; call it before threads start."""
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 100)
