"""`bus`: what keeps raw records until they are stored."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from pipeline.config.section import Section


class BusConfig(Section):
    """What keeps raw records until they are stored."""

    dsn: str = "journal:"
    """`journal:` keeps them in `data_dir`/journal."""
    max_bytes: int = Field(default=4 * 2**30, ge=2**20)
    """Cap of the journal. At 80 % the join gives up its oldest; at 100 % nothing more is accepted."""
    key_file: Path | None = None
    """File with a key of 16 bytes or more: what the journal holds on disk is then encrypted (AES-256-GCM)."""

    @field_validator("dsn")
    @classmethod
    def _known(cls, dsn: str) -> str:
        if dsn != "journal:":
            raise ValueError("only 'journal:' is built")
        return dsn
