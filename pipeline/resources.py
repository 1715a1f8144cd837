"""Files that ship with the program: SQL, JSON schemas, configurations of `deploy/`."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Find a shipped file or folder, such as `schemas/lineage.schema.json`.

    A wheel carries them inside the package, a source checkout beside it.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for root in (_PACKAGE, _PACKAGE.parent):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"this installation lacks {name}")
