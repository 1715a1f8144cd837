"""`bus`: what keeps raw records until they are stored."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from pipeline.addresses import split_address
from pipeline.config.kafka import KafkaConfig
from pipeline.config.section import Section

_KAFKA = "kafka://"


class BusConfig(Section):
    """What keeps raw records until they are stored."""

    dsn: str = "journal:"
    """`journal:` keeps them in `data_dir`/journal; `kafka://host:port,host:port` on a cluster, for
    `hoptrail ingest` and `hoptrail join`."""
    max_bytes: int = Field(default=4 * 2**30, ge=2**20)
    """Cap of the journal. At 80 % the join gives up its oldest; at 100 % nothing more is accepted."""
    key_file: Path | None = None
    """File with a key of 16 bytes or more: what the journal holds on disk is then encrypted (AES-256-GCM)."""

    kafka: KafkaConfig = KafkaConfig()

    @property
    def servers(self) -> tuple[str, ...]:
        """Addresses of Kafka's brokers, `host:port`; none where the bus is a journal."""
        return tuple(self.dsn.removeprefix(_KAFKA).split(",")) if self.dsn.startswith(_KAFKA) else ()

    @field_validator("dsn")
    @classmethod
    def _known(cls, dsn: str) -> str:
        if dsn == "journal:":
            return dsn
        if not dsn.startswith(_KAFKA):
            raise ValueError("neither 'journal:' nor 'kafka://host:port,host:port'")
        if "@" in dsn or "/" in dsn.removeprefix(_KAFKA):
            raise ValueError("a kafka:// DSN is addresses alone; user and password go to bus.kafka.security")
        for address in dsn.removeprefix(_KAFKA).split(","):
            if not split_address(address)[0]:
                raise ValueError(f"{address!r} is no broker: write host:port")
        return dsn
