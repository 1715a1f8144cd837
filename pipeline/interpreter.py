"""How a process that moves records sets its interpreter, once, at start; and which of its threads go first."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading

_SWITCH_S = 0.0002
"""A thread that parses holds the interpreter for this long before it lets an answer to Kong out. At Python's
default of 5 ms an answer takes 13 ms, at this 1 to 2 (`benchmarks/bench_http_log.py`); less costs the thread more
than 5 % of its time."""
_NEW_OBJECTS = 100_000
"""Objects made between two looks for cycles. Records hold none (`gc=False`), and a batch makes a million lists:
at the default of 700 a third of the time of settling goes into looking."""


_SWITCH_OF_FILES_S, _NEW_OBJECTS_OF_FILES = 0.05, 1_000_000
"""Where nobody waits for an answer, threads are left alone for longer, and the batch of files' rows is let go before
it is looked through: a twelfth less CPU a request (`benchmarks/bench_replay.py`)."""


def tune(*, answers: bool = True) -> None:
    """Set the interpreter for moving records; call it before threads start.

    Args:
        answers: Whether somebody waits for answers of this process; not where it reads files.
    """
    sys.setswitchinterval(_SWITCH_S if answers else _SWITCH_OF_FILES_S)
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS if answers else _NEW_OBJECTS_OF_FILES, 20, 100)


def stand_back(steps: int) -> None:
    """Let the threads that answer go first: lower the priority of the calling thread and of those that it starts.

    Beside parsing and inserts on two cores, Kong then waits two thirds as long (`benchmarks/bench_http_log.py`). On
    Linux each thread has a nice value of its own; elsewhere nothing changes.

    Args:
        steps: How much nicer it becomes, 19 at the end of the scale.
    """
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + steps))
