"""Encrypts what a dead letter was made of, so that it can be read again by a mended parser.

AES-SIV (RFC 5297): authenticated, and no nonce that could repeat. Equal records have equal ciphertexts, which
tells no more than the fingerprint beside them. Without a key nothing is kept.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import ConfigError

_PURPOSE = b"hoptrail original of a dead letter"
_LONGEST = 1 << 20


class Originals:
    """Keeps and gives back originals, with one key."""

    def __init__(self, key: bytes) -> None:
        derived = HKDF(algorithm=SHA256(), length=64, salt=None, info=_PURPOSE).derive(key)
        self._cipher = AESSIV(derived)

    def seal(self, body: bytes) -> bytes:
        """Encrypt a record; empty for one of more than 1 MiB, which is not kept."""
        return self._cipher.encrypt(body, [_PURPOSE]) if 0 < len(body) <= _LONGEST else b""

    def unseal(self, sealed: bytes) -> bytes:
        """Decrypt a record.

        Raises:
            ConfigError: It was encrypted with another key, or is damaged.
        """
        try:
            return self._cipher.decrypt(sealed, [_PURPOSE])
        except InvalidTag as error:
            raise ConfigError("the original was encrypted with another key, or is damaged") from error
