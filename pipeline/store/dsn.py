"""Which store a DSN names. PURE: text and files it names, no connection.

`chdb:///absolute/dir` is the embedded engine in a directory; `clickhouse://user@host:8123/database` a server
over HTTP, `clickhouses://` over HTTPS. A password never stands in an error message of ours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.errors import ConfigError

DATABASE = "hoptrail"
_PORTS = {"clickhouse": 8123, "clickhouses": 8443}
_FILES = {"ca": "ca_cert", "cert": "client_cert", "key": "client_cert_key"}
"""Parameters that name PEM files, and what the client calls them."""
_PASSWORD_VARIABLE = "HOPTRAIL_STORE__PASSWORD"  # noqa: S105 -- the name of a variable, not a password


@dataclass(frozen=True, slots=True)
class Dsn:
    """A store."""

    database: str
    directory: Path | None = None
    """Of the embedded engine; None for a server."""
    host: str = ""
    port: int = 0
    secure: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The DSN without its password."""
        if self.directory is not None:
            return f"chdb://{self.directory}"
        scheme = "clickhouses" if self.secure else "clickhouse"
        return f"{scheme}://{self.user}@{self.host}:{self.port}/{self.database}"


def parse_dsn(text: str, environ: Mapping[str, str] | None = None) -> Dsn:
    """Read a DSN.

    Args:
        text: `chdb:///dir`, `clickhouse://…` or `clickhouses://…`; a server's may carry `?password_file=`,
            `?ca=`, `?cert=`, `?key=`.
        environ: Looked through for a password where the DSN has none; the process's own unless told.

    Raises:
        ConfigError: It is none; names the part that is wrong and the fix.
    """
    parts = urlsplit(text)
    if parts.scheme == "chdb":
        directory = Path(unquote(parts.path))
        if parts.netloc or not directory.is_absolute():
            raise ConfigError("store.dsn: write the whole path, as in chdb:///var/lib/hoptrail/store")
        return Dsn(DATABASE, directory=directory)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigError(
            f"store.dsn: {parts.scheme or 'the text'!r} is no store; give chdb:///absolute/dir, "
            "clickhouse://user@host:8123/database or clickhouses://…"
        )
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(given) - set(_FILES) - {"password_file"})
    if unknown:
        known = ", ".join(("password_file", *_FILES))
        raise ConfigError(f"store.dsn: there is no parameter {unknown[0]!r}; known are {known}")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError as error:
        raise ConfigError("store.dsn: the port is not a number up to 65535") from error
    return Dsn(
        database=parts.path.strip("/") or DATABASE,
        host=parts.hostname,
        port=port,
        secure=parts.scheme == "clickhouses",
        user=unquote(parts.username or "default"),
        password=_password(unquote(parts.password or ""), given, os.environ if environ is None else environ),
        files={_FILES[name]: value for name, value in given.items() if name in _FILES},
    )


def _password(written: str, given: Mapping[str, str], environ: Mapping[str, str]) -> str:
    if written:
        return written
    if "password_file" in given:
        try:
            return Path(given["password_file"]).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"store.dsn: password_file cannot be read: {error}") from error
    return environ.get(_PASSWORD_VARIABLE, "")
