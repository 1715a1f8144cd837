"""The original bytes of dead letters, encrypted: what may be kept of them beside the redacted body.

Each original has a key of its own, derived from the operator's and a random salt, and a random nonce: no number
of letters makes two collide (NIST SP 800-38D, 8.3 allows 2**32 of them under one key). What is bound to it is
the letter's identity, so that no original can be shown as another letter's.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import ConfigError, SealedOriginal
from pipeline.model import Source

LONGEST_ORIGINAL = 1024 * 1024
"""Bytes; of a longer record no original is kept."""

_VERSION = b"\x01"
_SALT_BYTES, _NONCE_BYTES, _TAG_BYTES = 16, 12, 16
_HEAD_BYTES = len(_VERSION) + _SALT_BYTES + _NONCE_BYTES
_KEY_BYTES = 32
_KEY_ID_BYTES = 8
_LEAST_KEY_BYTES = 16


class Originals:
    """Seals and opens originals with one key.

    Args:
        key: The operator's, at least 16 bytes.

    Raises:
        ConfigError: The key is too short.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < _LEAST_KEY_BYTES:
            raise ConfigError(f"the key of originals holds {len(key)} bytes; it needs at least 16")
        self._key = key
        self.key_id = _derived(key, b"", b"hoptrail dead letter key id")[:_KEY_ID_BYTES].hex()
        """Names the key, 16 hexadecimal digits, and says nothing about it."""

    def seal(self, body: bytes, *, source: Source, fingerprint: str) -> bytes:
        """Encrypt an original (AES-256-GCM): version, salt, nonce, ciphertext with its tag, 45 bytes more.

        Returns:
            Nothing, `b""`, for a record that is longer than `LONGEST_ORIGINAL`.
        """
        if len(body) > LONGEST_ORIGINAL:
            return b""
        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        identity = _identity(source, fingerprint, len(body))
        return _VERSION + salt + nonce + self._cipher(salt).encrypt(nonce, body, identity)

    def open(self, sealed: bytes, *, source: Source, fingerprint: str, size: int) -> bytes:
        """Decrypt the original of the letter with this source, fingerprint and size.

        Raises:
            SealedOriginal: The key is another, or the original is not what was kept for this letter.
        """
        if sealed[:1] != _VERSION or len(sealed) < _HEAD_BYTES + _TAG_BYTES:
            raise SealedOriginal("it is not what this version writes")
        salt, nonce = sealed[1 : 1 + _SALT_BYTES], sealed[1 + _SALT_BYTES : _HEAD_BYTES]
        try:
            return self._cipher(salt).decrypt(
                nonce, sealed[_HEAD_BYTES:], _identity(source, fingerprint, size)
            )
        except InvalidTag:
            raise SealedOriginal("it was changed, or belongs to another letter") from None

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(_derived(self._key, salt, b"hoptrail dead letter original"))


def _identity(source: Source, fingerprint: str, size: int) -> bytes:
    """What stays the same of a letter wherever it lies; offset and arrival are given to it later."""
    return f"hoptrail dead letter\x00{source.value}\x00{fingerprint}\x00{size}".encode()


def _derived(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=salt, info=purpose).derive(key)
