"""`store`: where lineages rest."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section


class StoreConfig(Section):
    """Where lineages rest."""

    dsn: str = ""
    """`chdb:///absolute/dir`, `clickhouse://user@host:8123/database`; empty: chDB in `data_dir`/store."""
    batch_rows: int = Field(default=20_000, ge=1, le=500_000)
    """Rows after which a batch is written."""
    batch_bytes: int = Field(default=64 * 2**20, ge=2**20, le=2**30)
    """Bytes of rows after which a batch is written, however few they are."""
    batch_age_s: float = Field(default=1.0, gt=0, le=60)
    """Seconds after which a batch is written, however small."""
