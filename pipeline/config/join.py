"""`join`: how halves meet."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section


class JoinConfig(Section):
    """How halves meet."""

    window_s: float = Field(default=30.0, gt=0, le=86_400)
    """Seconds that a record waits for its other half."""
    max_pending: int = Field(default=2_000_000, ge=1)
    """Halves waiting at once; above it the oldest are finalised as `evicted`."""
    max_per_key: int = Field(default=64, ge=2)
    """Records gathered under one request id; above it the id is taken for a constant."""
