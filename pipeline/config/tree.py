"""The whole tree of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.config.bus import BusConfig
from pipeline.config.door import DoorConfig
from pipeline.config.join import JoinConfig
from pipeline.config.otlp import OtlpConfig
from pipeline.config.redaction import RedactionConfig
from pipeline.config.section import Section
from pipeline.config.sources import SourcesConfig
from pipeline.config.store import StoreConfig


class Config(Section):
    """Everything the operator may set."""

    data_dir: Path = Path("hoptrail-data")
    """Journal, embedded store and `server.json`; made with mode 0700."""
    store: StoreConfig = StoreConfig()
    bus: BusConfig = BusConfig()
    join: JoinConfig = JoinConfig()
    sources: SourcesConfig = SourcesConfig()
    door: DoorConfig = DoorConfig()
    redaction: RedactionConfig = RedactionConfig()
    otlp: OtlpConfig = OtlpConfig()
    drain_s: float = Field(default=20.0, ge=0)
    """Seconds that a stop may take; what is left then is in the journal and goes on at the next start."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def store_dsn(self) -> str:
        """The DSN in force."""
        return self.store.dsn or f"chdb://{self.data_dir.resolve()}/store"
