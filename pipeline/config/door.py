"""`door`: the read-only door that speaks ClickHouse's HTTP protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from pipeline.addresses import is_loopback, split_address
from pipeline.config.section import Section
from pipeline.config.tls import TlsConfig


class DoorAccount(Section):
    """Somebody who may ask the read door; a limit that is not set is the door's own."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """What the client sends as user name."""
    password_file: Path
    """File with the password, at least 12 characters; a newline at its end does not count."""
    max_rows: int | None = Field(default=None, ge=1)
    """Most rows of one answer."""
    max_bytes: int | None = Field(default=None, ge=2**16)
    """Most bytes of one answer, in memory."""
    max_seconds: float | None = Field(default=None, gt=0)
    """Longest time of one query."""
    max_memory_bytes: int | None = Field(default=None, ge=2**24)
    """Most memory of one query."""
    max_threads: int | None = Field(default=None, ge=1)
    """Threads of one query."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Queries of this account at once."""


class DoorConfig(Section):
    """The read-only door that speaks ClickHouse's HTTP protocol."""

    listen: str = "127.0.0.1:8124"
    """Address, or empty for none; off loopback only with accounts and tls."""
    tls: TlsConfig | None = None
    """Required off loopback, as passwords and answers would travel in clear."""
    accounts: tuple[DoorAccount, ...] = ()
    """Who may ask. Empty: whoever reaches loopback."""
    max_rows: int = Field(default=100_000, ge=1)
    """Most rows of one answer."""
    max_bytes: int = Field(default=128 * 2**20, ge=2**16)
    """Most bytes of one answer, in memory."""
    max_seconds: float = Field(default=30.0, gt=0)
    """Longest time of one query."""
    max_memory_bytes: int = Field(default=2 * 2**30, ge=2**24)
    """Most memory of one query."""
    max_threads: int = Field(default=2, ge=1)
    """Threads of one query."""
    max_concurrent: int = Field(default=4, ge=1)
    """Queries at once, of all accounts together; further ones wait."""
    max_waiting: int = Field(default=32, ge=0)
    """Queries that wait for their turn; further ones get 503."""
    max_wait_s: float = Field(default=10.0, gt=0)
    """Longest time that a query waits for its turn; then it gets 503."""
    max_query_bytes: int = Field(default=256 * 2**10, ge=1024)
    """Longest query, and as much again for its parameters; more gets 413."""

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.listen and not is_loopback(split_address(self.listen)[0]):
            for name in ("accounts", "tls"):
                if not getattr(self, name):
                    where = f"listen is {self.listen}; without {name} it is loopback only"
                    raise ValueError(f"{where}: set {name}")
        names = [account.name for account in self.accounts]
        if len(set(names)) != len(names):
            raise ValueError("two accounts have the same name")
        return self
