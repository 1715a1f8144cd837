"""Optional encryption of what a journal keeps: AES-256-GCM, one key per segment file.

Each segment's key is derived from the operator's and a random salt in the segment's head, so that a frame
counter is nonce enough: it never repeats under one key, however often the journal is opened, and no random
nonce can collide after a few billion frames (NIST SP 800-38D, 8.2.1 and 8.3).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pipeline.errors import ConfigError

SALT_BYTES = 16
TAG_BYTES = 16
_NONCE_BYTES = 12
_LEAST_KEY_BYTES = 16


class Cipher:
    """Seals and opens the frames of one segment."""

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._aead = AESGCM(_derive(key, salt, b"hoptrail journal segment"))

    def seal(self, number: int, plain: bytes, head: bytes) -> bytes:
        """Encrypt a payload; `head` is bound to it and stays readable. 16 bytes longer than `plain`."""
        return self._aead.encrypt(number.to_bytes(_NONCE_BYTES, "big"), plain, head)

    def open(self, number: int, sealed: bytes, head: bytes) -> bytes:
        """Decrypt a payload.

        Raises:
            cryptography.exceptions.InvalidTag: It is not what was sealed.
        """
        return self._aead.decrypt(number.to_bytes(_NONCE_BYTES, "big"), sealed, head)


def key_check(key: bytes) -> str:
    """Give what a journal remembers of its key, to know it again; says nothing about the key itself.

    Raises:
        ConfigError: It is too short to be a key.
    """
    if len(key) < _LEAST_KEY_BYTES:
        raise ConfigError(f"the key of the journal holds {len(key)} bytes; it needs at least 16")
    return _derive(key, b"", b"hoptrail journal key check")[:16].hex()


def _derive(key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose).derive(key)
