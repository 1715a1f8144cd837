"""Where the store is, as the operator writes it.

`chdb:///absolute/dir` is the engine in this process. `clickhouse://user@host:8123/database` is a server over
HTTP, `clickhouses://…:8443/…` over TLS, with `?ca=`, `client_cert=`, `client_key=`, `verify=no`. The password
comes from `password_file=`, from the DSN itself, or from the environment variable `CLICKHOUSE_PASSWORD`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pipeline.errors import ConfigError

DATABASE = "hoptrail"
_PORTS = {"clickhouse": 8123, "clickhouses": 8443}
_OPTIONS = frozenset({"password_file", "ca", "client_cert", "client_key", "verify"})
_EXAMPLES = "chdb:///absolute/dir, clickhouse://user@host:8123/database or clickhouses://…"


@dataclass(frozen=True, slots=True)
class EmbeddedDsn:
    """The engine in this process, on a directory that it locks."""

    directory: Path

    @property
    def shown(self) -> str:
        """The DSN for people."""
        return f"chdb://{self.directory}"


@dataclass(frozen=True, slots=True)
class ServerDsn:
    """A server's HTTP port."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    secure: bool
    ca: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    verify: bool = True

    @property
    def shown(self) -> str:
        """The DSN for people, without the password."""
        scheme = "clickhouses" if self.secure else "clickhouse"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{self.user}@{host}:{self.port}/{self.database}"


Dsn = EmbeddedDsn | ServerDsn


def parse_dsn(dsn: str, environ: Mapping[str, str] | None = None) -> Dsn:
    """Read a DSN.

    Args:
        dsn: As written by the operator.
        environ: Where `CLICKHOUSE_PASSWORD` is looked for; the process's own unless told.

    Raises:
        ConfigError: Names what is wrong and what to write instead, never the password.
    """
    scheme, separator, rest = dsn.partition("://")
    if not separator or scheme not in {"chdb", *_PORTS}:
        raise ConfigError(f"store.dsn is not a store: write {_EXAMPLES}")
    if scheme == "chdb":
        return _embedded(rest)
    return _server(scheme, dsn, os.environ if environ is None else environ)


def _embedded(path: str) -> EmbeddedDsn:
    if not path.startswith("/"):
        raise ConfigError(
            f"store.dsn chdb://{path}: write the whole path, as in chdb:///var/lib/hoptrail/store"
        )
    if "?" in path:
        raise ConfigError("store.dsn: chdb:// takes no options after the directory")
    return EmbeddedDsn(Path(unquote(path)))


def _server(scheme: str, dsn: str, environ: Mapping[str, str]) -> ServerDsn:
    parts = urlsplit(dsn)
    try:
        port = parts.port or _PORTS[scheme]
    except ValueError:
        raise ConfigError("store.dsn: the port is not a number up to 65535") from None
    if not parts.hostname:
        raise ConfigError(f"store.dsn names no host: write {_EXAMPLES}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise ConfigError(
                f"store.dsn: there is no option {name!r}; there are {', '.join(sorted(_OPTIONS))}"
            )
    verify = options.get("verify", "yes")
    if verify not in {"yes", "no"}:
        raise ConfigError("store.dsn: verify is yes or no")
    if scheme == "clickhouse" and options.keys() & {"ca", "client_cert", "client_key", "verify"}:
        raise ConfigError("store.dsn: certificates are for clickhouses://, with an s")
    if ("client_cert" in options) != ("client_key" in options):
        raise ConfigError("store.dsn: client_cert and client_key go together")
    for name in ("ca", "client_cert", "client_key"):
        if name in options and not Path(options[name]).is_file():
            raise ConfigError(f"store.dsn: {name} {options[name]} is not a file")
    return ServerDsn(
        host=parts.hostname,
        port=port,
        database=unquote(parts.path.strip("/")) or DATABASE,
        user=unquote(parts.username or "") or "default",
        password=_password(parts.password, options.get("password_file"), environ),
        secure=scheme == "clickhouses",
        ca=options.get("ca"),
        client_cert=options.get("client_cert"),
        client_key=options.get("client_key"),
        verify=verify == "yes",
    )


def _password(written: str | None, file: str | None, environ: Mapping[str, str]) -> str:
    if file is not None:
        if written is not None:
            raise ConfigError("store.dsn has a password and a password_file: keep the file")
        try:
            return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"store.dsn: password_file {file} cannot be read: {_why(error)}") from error
    return unquote(written) if written is not None else environ.get("CLICKHOUSE_PASSWORD", "")


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else "it is not UTF-8"
