"""What the operator may set: one frozen model per component, and how they are read.

Options beat `HOPTRAIL_SECTION__KEY` variables beat the YAML file. Unknown keys are errors that name
themselves. Read once, at start; pieces are passed down, nothing below `topology` reads the environment.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.addresses import is_loopback, split_address
from pipeline.errors import ConfigError

_PREFIX = "HOPTRAIL_"
_CONFIG_FILE = "HOPTRAIL_CONFIG"
"""Names the YAML file; read by the command line."""
_INJECTED = re.compile(r"HOPTRAIL_(SERVICE_|PORT($|_)|.*_(SERVICE|PORT)_)")
"""Kubernetes puts such variables into every pod beside a Service called `hoptrail`."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StoreConfig(_Section):
    """Where lineages rest."""

    dsn: str = ""
    """`chdb:///absolute/dir`, `clickhouse://user@host:8123/database`; empty: chDB in `data_dir`/store."""
    batch_rows: int = Field(default=20_000, ge=1, le=500_000)
    """Rows after which a batch is written."""
    batch_age_s: float = Field(default=1.0, gt=0, le=60)
    """Seconds after which a batch is written, however small."""


class BusConfig(_Section):
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


class JoinConfig(_Section):
    """How halves meet."""

    window_s: float = Field(default=30.0, gt=0, le=86_400)
    """Seconds that a record waits for its other half."""
    max_pending: int = Field(default=2_000_000, ge=1)
    """Halves waiting at once; above it the oldest are finalised as `evicted`."""
    max_per_key: int = Field(default=64, ge=2)
    """Records gathered under one request id; above it the id is taken for a constant."""


class SyslogConfig(_Section):
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


class TlsConfig(_Section):
    """Certificate of an HTTPS listener."""

    cert_file: Path
    key_file: Path


class KongConfig(_Section):
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


class SourcesConfig(_Section):
    """Who may send what where."""

    syslog: SyslogConfig = SyslogConfig()
    kong: KongConfig = KongConfig()


class DoorAccount(_Section):
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


class DoorConfig(_Section):
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


class RedactionConfig(_Section):
    """What never reaches the store."""

    key_file: Path | None = None
    """File with the key of the fingerprints that stand for secrets, 16 bytes or more. Empty: made once,
    beside the embedded store (`<store>.key`), or in `data_dir` where the store is a server."""
    secret_names: tuple[str, ...] = ()
    """Regular expressions of further query parameters whose values are secret; any case, anywhere in a name."""
    plain_names: tuple[str, ...] = ()
    """Query parameters, by exact name, whose values are kept although they look secret (`code`, `state`)."""
    pseudonyms: tuple[Literal["user", "client_ip"], ...] = ()
    """What is stored as a keyed pseudonym: `user` (consumers, subjects, certificates), `client_ip`."""
    redact_at: Literal["parse", "ingest"] = "parse"
    """`ingest` redacts before the bus, for those who share one; a mended parser can then not go back."""

    @field_validator("secret_names")
    @classmethod
    def _expressions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                re.compile(name)
            except re.error as error:
                raise ValueError(f"{name!r} is not a regular expression: {error}") from error
        return names


class Config(_Section):
    """Everything the operator may set."""

    data_dir: Path = Path("hoptrail-data")
    """Journal, embedded store and `server.json`; made with mode 0700."""
    store: StoreConfig = StoreConfig()
    bus: BusConfig = BusConfig()
    join: JoinConfig = JoinConfig()
    sources: SourcesConfig = SourcesConfig()
    door: DoorConfig = DoorConfig()
    redaction: RedactionConfig = RedactionConfig()
    drain_s: float = Field(default=20.0, ge=0)
    """Seconds that a stop may take; what is left then is in the journal and goes on at the next start."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def store_dsn(self) -> str:
        """The DSN in force."""
        return self.store.dsn or f"chdb://{self.data_dir.resolve()}/store"


def load_config(
    file: Path | None, options: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Read the configuration once.

    Args:
        file: YAML file, or None.
        options: Dotted keys set on the command line, such as `{"join.window_s": 5}`; None values are unset.
        environ: Variables to look through; the process's own unless told.

    Raises:
        ConfigError: Names each field that is wrong and what to do.
    """
    tree = _read_yaml(file) if file else {}
    for path, text in _from_environment(os.environ if environ is None else environ).items():
        _put(tree, path, yaml.safe_load(text) if text else text)
    for dotted, value in (options or {}).items():
        if value is not None:
            _put(tree, tuple(dotted.split(".")), value)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_in_words(error)) from error


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: the top of the file must be a mapping of sections")
    return tree


def _from_environment(environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Find our variables; those that Kubernetes injects are not ours."""
    found = {}
    for name, text in environ.items():
        if name.startswith(_PREFIX) and name != _CONFIG_FILE and not _INJECTED.match(name):
            path = tuple(name.removeprefix(_PREFIX).lower().split("__"))
            if not _is_setting(path):
                raise ConfigError(f"{name}: there is no such setting; see docs/configuration.md")
            found[path] = text
    return found


def _is_setting(path: tuple[str, ...]) -> bool:
    """Whether a path leads to a field; a section that may be None (`tls`) counts with its fields."""
    model: object = Config
    for name in path:
        fields = getattr(model, "model_fields", {})
        if name not in fields:
            return False
        kind = fields[name].annotation
        model = next((part for part in (*get_args(kind), kind) if hasattr(part, "model_fields")), None)
    return True


def _put(tree: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    *sections, key = path
    for section in sections:
        inner = tree.get(section)
        if not isinstance(inner, dict):
            inner = tree[section] = {}
        tree = inner
    tree[key] = value


def _in_words(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        field = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{field}: there is no such setting; see docs/configuration.md")
        else:
            lines.append(f"{field}: {fault['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
