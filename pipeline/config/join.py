"""`join`: how halves meet."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section


class JoinConfig(Section):
    """How halves meet."""

    window_s: float = Field(default=30.0, gt=0, le=86_400)
    """Seconds that a record waits for its other half."""
    show_pending_after_s: float = Field(default=5.0, ge=0, le=86_400)
    """Seconds after which a record that still waits is shown, `final = false`, `missing = pending`; 0: not
    before its window ends. Not in replays of files."""
    max_pending: int = Field(default=2_000_000, ge=1)
    """Halves waiting at once; above it the oldest are finalised as `evicted`."""
    max_per_key: int = Field(default=64, ge=2)
    """Records gathered under one request id; above it the id is taken for a constant."""
