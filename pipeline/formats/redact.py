"""What may be kept of text that clients wrote: secrets are replaced by a keyed fingerprint.

Equal secrets have equal fingerprints, so that a leaked key's uses can be counted; nothing more can be told.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from pipeline.formats.text import decode

_LONGEST_TEXT = 64 * 1024

_SECRET_KEY = re.compile(
    r"token|secret|passw|pwd|api[-_]?key|^key$|[-_]key$|^apikey|jwt|^sig$|signature|^auth|authorization|"
    r"credential|session|^sid$|^code$|^state$|nonce|assertion|^ticket$|^otp$|^pin$|^x-amz-|^x-goog-|awsaccesskeyid|"
    r"bearer|cookie|private|access",
    re.IGNORECASE,
)
"""Names of query parameters whose values are not for the store: credentials, signatures, one-time codes."""

_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?")
_NEEDS_LOOK = re.compile(r"[=@]|eyJ")
_USERINFO = re.compile(r"(?<=://)[^/?#@\s\"]*@")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")

_JSON_SECRET = re.compile(
    r'("(?:[^"\\]|\\.)*(?:authorization|cookie|api-?key|token|secret|passw|jwt|signature|session|credential)'
    r'(?:[^"\\]|\\.)*"\s*:\s*)(\[[^\]]*\]?|"(?:[^"\\]|\\.)*"?)',
    re.IGNORECASE,
)
_HEADER_SECRET = re.compile(
    r"((?:proxy-)?authorization|cookie|x-api-key|apikey)(\s*[:=]\s*)(?:(?:bearer|basic)\s+)?[^\s,;|}\"\\]+",
    re.IGNORECASE,
)
_QUERY_PAIR = re.compile(r"(?<=[?&;])([^=&\s\"\\;|]{1,128})=([^&\s\"\\;|]+)")


class Redactor:
    """Replaces secrets; one key, so that fingerprints compare within one installation."""

    def __init__(self, key: bytes) -> None:
        self._key = key[:64]
        self._secret_names: dict[str, bool] = {}

    def fingerprint(self, body: bytes) -> str:
        """Give the keyed hash of bytes, 32 hexadecimal digits."""
        return blake2b(body, key=self._key, digest_size=16).hexdigest()

    def secret(self, value: str) -> str:
        """Give what stands for a secret: `~` and ten hexadecimal digits of its keyed hash."""
        return "~" + blake2b(value.encode(errors="replace"), key=self._key, digest_size=5).hexdigest()

    def query(self, text: str) -> str:
        """Redact a query string (without `?`): values of names that look secret, and JWTs anywhere."""
        if not text or not _NEEDS_LOOK.search(text):
            return text
        if "=" in text:
            text = "&".join(self._pair(pair) for pair in text.split("&"))
        return _JWT.sub(self._found, text) if "eyJ" in text else text

    def uri(self, text: str) -> str:
        """Redact a request target: its query, JWTs in its path, and the userinfo of an absolute form."""
        if not _NEEDS_LOOK.search(text):
            return text
        if "@" in text:
            text = _USERINFO.sub("", text)
        path, mark, query = text.partition("?")
        if "eyJ" in path:
            path = _JWT.sub(self._found, path)
        return path + mark + self.query(query) if mark else path

    def text(self, body: bytes) -> str:
        """Redact a whole record of unknown shape: for dead letters and events, at most 64 KiB."""
        text = decode(body[:_LONGEST_TEXT])[0].replace("\x00", "\\x00")
        text = _JSON_SECRET.sub(lambda found: f'{found[1]}"{self.secret(found[2])}"', text)
        text = _HEADER_SECRET.sub(lambda found: found[1] + found[2] + self.secret(found[0]), text)
        text = _QUERY_PAIR.sub(lambda found: self._pair(found[0]), text)
        return _JWT.sub(self._found, _USERINFO.sub("", text))[:_LONGEST_TEXT]

    def _pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if not value or not self._is_secret(name):
            return pair
        return name + equals + self.secret(value)

    def _is_secret(self, name: str) -> bool:
        known = self._secret_names.get(name)
        if known is None:
            plain = _PERCENT.sub(lambda found: chr(int(found[1], 16)), name)
            known = _SECRET_KEY.search(plain) is not None
            if len(self._secret_names) < 10_000:  # noqa: PLR2004 -- clients choose names; do not grow for them
                self._secret_names[name] = known
        return known

    def _found(self, found: re.Match[str]) -> str:
        return self.secret(found[0])
