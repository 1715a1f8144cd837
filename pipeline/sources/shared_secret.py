"""What Kong must know to post: one secret, compared in constant time, never logged."""

from __future__ import annotations

import binascii
import hmac
from pathlib import Path

from pipeline.errors import ConfigError

_SHORTEST = 16


class SharedSecret:
    """A secret that comes as a header of its own, or as the password of Basic authentication."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def admits(self, header: bytes | None, authorization: bytes | None) -> bool:
        """Whether either of the two headers holds the secret; the user name of Basic is not looked at."""
        presented = header if header is not None else _basic_password(authorization or b"")
        return hmac.compare_digest(presented, self._secret)


def load_secret(file: Path) -> SharedSecret:
    """Read a secret; space and newlines around it do not belong to it.

    Raises:
        ConfigError: The file cannot be read, or holds less than 16 bytes or what no header can carry.
    """
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"sources.kong.secret_file {file} cannot be read: {error.strerror}") from error
    if len(secret) < _SHORTEST:
        raise ConfigError(
            f"sources.kong.secret_file {file} holds {len(secret)} bytes; a secret needs {_SHORTEST} or more: "
            "make one with `openssl rand -hex 32`"
        )
    if not secret.isascii() or not secret.decode("ascii").isprintable():
        raise ConfigError(f"sources.kong.secret_file {file}: use printable ASCII, as a header carries it")
    return SharedSecret(secret)


def _basic_password(authorization: bytes) -> bytes:
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return binascii.a2b_base64(encoded.strip()).partition(b":")[2]
    except binascii.Error:
        return b""
