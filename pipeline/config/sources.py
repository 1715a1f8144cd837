"""`sources`: who may send what where."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from pipeline.addresses import is_loopback, split_address
from pipeline.config.kafka import KafkaSourceConfig
from pipeline.config.section import Section
from pipeline.config.tls import TlsConfig


class SyslogConfig(Section):
    """HAProxy's log lines."""

    udp: str = "127.0.0.1:5514"
    """Address, or empty for none."""
    tcp: str = "127.0.0.1:5514"
    """Address, or empty for none; newline and octet-counted framing are told apart."""
    unix: str = ""
    """Path of a unix datagram socket, or empty for none."""
    unix_mode: int = 0o600
    """Who may write to it, in octal (`0660`: the file's group too)."""
    receive_buffer: int = Field(default=64 * 2**20, ge=65_536)
    """Bytes of kernel buffer asked for; what was granted is logged at start."""
    log_format: str = ""
    """A built-in name, the `log-format` string itself, or empty: told apart line by line."""
    names: dict[str, str] = Field(default_factory=dict)
    """What expressions of `log_format` are: `var(txn.kid): kong_rid`; also by `%(name)` or position (`#1`)."""
    haproxy_config: Path | None = None
    """A `haproxy.cfg` whose frontends' formats and captures are read; beside `log_format`."""
    time_zone: str = "UTC"
    """Zone of the dates that HAProxy writes without one."""
    allow: tuple[str, ...] = ()
    """Networks that may send (`10.0.0.0/8`); required off loopback. Empty: loopback alone."""

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone is called {name!r}; use a name such as Europe/Berlin") from error
        return name

    @field_validator("unix_mode")
    @classmethod
    def _octal(cls, mode: int) -> int:
        if mode & ~0o666 or mode & 0o600 != 0o600:  # noqa: PLR2004 -- the owner, which is us, reads and writes
            raise ValueError(f"{mode} is not a mode such as 0600 or 0660, in octal with its leading 0")
        return mode

    @field_validator("allow")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network, strict=False)
        return networks

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        for name, address in (("udp", self.udp), ("tcp", self.tcp)):
            if address and not is_loopback(split_address(address)[0]) and not self.allow:
                raise ValueError(f"{name} listens on {address}, which is not loopback: set allow")
        return self


class KongConfig(Section):
    """Kong's http-log posts."""

    listen: str = "127.0.0.1:8600"
    """Address of `/ingest/kong`, `/healthz`, `/readyz` and `/metrics`."""
    secret_file: Path | None = None
    """File with the shared secret, sent by Kong as the header `X-Hoptrail-Secret` or as the password
    of Basic auth; required off loopback."""
    max_body_bytes: int = Field(default=32 * 2**20, ge=1024)
    """Larger posts get 413."""
    tls: TlsConfig | None = None
    """Required off loopback, as the secret would travel in clear."""

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not is_loopback(split_address(self.listen)[0]):
            if self.secret_file is None:
                raise ValueError(f"listen is {self.listen}, which is not loopback: set secret_file")
            if self.tls is None:
                raise ValueError(f"listen is {self.listen}, which is not loopback: set tls")
        return self


class SourcesConfig(Section):
    """Who may send what where."""

    syslog: SyslogConfig = SyslogConfig()
    kong: KongConfig = KongConfig()
    kafka: KafkaSourceConfig = KafkaSourceConfig()
