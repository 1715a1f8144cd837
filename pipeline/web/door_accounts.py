"""I/O: who may ask the door, and how much: passwords from files, read once, compared in constant time.

Without accounts everybody who reaches the door may ask, so it must be this machine's own: a request that
calls the door by another name than loopback, or that a browser sent for another site, is refused: a page
could otherwise reach it through the visitor's browser.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from pipeline.addresses import is_loopback
from pipeline.config import DoorAccount, DoorConfig
from pipeline.errors import ConfigError
from pipeline.web.door_refusal import denied, unauthenticated
from pipeline.web.door_settings import Limits

_SHORTEST = 12
"""Characters of a password: nobody is slowed down after a wrong one, so it must not be guessable."""
_NO_DIGEST = bytes(32)
NOBODY = "default"
"""The name of whoever asks where there are no accounts."""


class Caller(NamedTuple):
    """Who asks, and what he may take."""

    name: str
    limits: Limits
    max_concurrent: int


class Accounts:
    """The accounts of a door.

    Args:
        config: The door's.
        own_password: Of the account `hoptrail`, which the process keeps for its own commands; None for none.

    Raises:
        ConfigError: A password cannot be read, or is too short.
    """

    def __init__(self, config: DoorConfig, own_password: str | None = None) -> None:
        self._anybody = None if config.accounts else _caller(config, DoorAccount.model_construct(name=NOBODY))
        self._known = {
            account.name: (_digest(_password(account)), _caller(config, account))
            for account in config.accounts
        }
        if own_password is not None and config.accounts:
            own = DoorAccount.model_construct(name="hoptrail")
            self._known["hoptrail"] = (_digest(own_password), _caller(config, own))

    def identify(self, headers: Headers) -> Caller:
        """Tell who sent a request.

        Raises:
            DoorRefusal: Nobody who may ask.
        """
        if self._anybody is not None:
            _check_local(headers)
            return self._anybody
        name, password = _credentials(headers)
        expected, caller = self._known.get(name, (_NO_DIGEST, None))
        is_right = hmac.compare_digest(_digest(password), expected)
        if caller is None or not is_right:
            raise unauthenticated(f"{name[:64]}: Authentication failed: wrong password, or no such user")
        return caller


def _caller(config: DoorConfig, account: DoorAccount) -> Caller:
    def limit(name: str) -> int:
        own = getattr(account, name, None)
        return int(getattr(config, name)) if own is None else int(own)

    seconds = config.max_seconds if account.max_seconds is None else account.max_seconds
    limits = Limits(
        limit("max_rows"), limit("max_bytes"), seconds, limit("max_memory_bytes"), limit("max_threads")
    )
    return Caller(account.name, limits, limit("max_concurrent"))


def _password(account: DoorAccount) -> str:
    try:
        password = account.password_file.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"door.accounts: the password of {account.name} cannot be read: {error}") from error
    if len(password) < _SHORTEST:
        raise ConfigError(f"door.accounts: the password of {account.name} needs {_SHORTEST} characters")
    return password


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).digest()


def _credentials(headers: Headers) -> tuple[str, str]:
    """Give name and password, from ClickHouse's headers or from Basic auth."""
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", "")
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise unauthenticated("say who asks: X-ClickHouse-User and X-ClickHouse-Key, or Basic auth")
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise unauthenticated("the Authorization header cannot be read") from None
    return name, password


def _check_local(headers: Headers) -> None:
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    if host is None or not is_loopback(host):
        raise denied("without accounts the door answers to loopback names only (127.0.0.1, ::1, localhost)")
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise denied("without accounts the door does not answer pages of other sites")
