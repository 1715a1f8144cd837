"""Whether another process has an embedded store open, and which."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

_PID = re.compile(r"PID: (\d+)")


def holder_of(directory: Path) -> str | None:
    """Name the other process that holds a store's directory; None where none does.

    Asked beforehand, as engines ask each other: one that is refused says why on standard error, in its own
    words and past everybody who could translate them.
    """
    status = directory / "status"
    try:
        with status.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        found = _PID.search(status.read_text(encoding="utf-8", errors="replace"))
        if found and int(found[1]) == os.getpid():
            return None
        return f"process {found[1]}" if found else "another process"
    except OSError:
        return None
    return None
