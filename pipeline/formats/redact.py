"""What may be kept of text that clients wrote: secrets are replaced by a keyed fingerprint.

Equal secrets have equal fingerprints, so that a leaked key's uses can be counted; nothing more can be told.
Redacting twice changes nothing: what stands for a secret is left as it is.
"""

from __future__ import annotations

import ipaddress
import re
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import unquote

from pipeline.formats.credentials import CREDENTIAL, may_hold_credential
from pipeline.formats.redact_text import redact_text

_HIDDEN_NAMES = (
    r"token|secret|passw|pwd|api[-_.]?key|^key$|[-_.]key$|jwt|^sig$|signature|^auth|oauth|"
    r"credential|session|^j?sid$|sessid|^code$|^state$|nonce|assertion|^ticket$|^otp$|^pin$|^x-amz-|^x-goog-|"
    r"awsaccesskeyid|bearer|cookie|private|access|^hmac|^mac$|samlre|webhook|^pass$|^pw$|invite|magic"
)
"""Names of query parameters whose values are not for the store: credentials, signatures, one-time codes."""

_MATRIX = re.compile(r";([^=;/?]{1,64})=([^;/?]*)")
_USERINFO = re.compile(r"(?<=//)[^/?#@\s\"]*@")
_NESTED = re.compile(r"%(?:25)*3[dD]")
_PAIR = re.compile(r"(?:^|[?&;\s])([^=&?;\s]{1,128})=")
_DONE = re.compile(r"~[0-9a-f]{10}")
_PERSON = re.compile(r"person-[0-9a-f]{16}")
_OURS = ipaddress.ip_network("fd68:6f70::/32")
"""Pseudonyms of addresses are unique local addresses (RFC 4193) of this prefix, 96 bits of keyed hash."""

_SHORTEST_TOKEN = 12
"""Characters of the shortest credential that is known by its shape alone."""
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 512
_LONGEST_QUERY_REMEMBERED = 64
"""Longer ones hardly come again."""
_UUID_LENGTH = 36
_TRACEPARENT_LENGTH = 55


class Policy(NamedTuple):
    """What the operator may change."""

    secret_names: tuple[str, ...] = ()
    """Regular expressions of further query parameters whose values are secret; searched, any case."""
    plain_names: tuple[str, ...] = ()
    """Names of query parameters, exact, whose values are kept although they look secret (`code`, `state`)."""
    pseudonyms: frozenset[str] = frozenset()
    """`user`: consumers, subjects and certificate names, `client_ip`: addresses, by keyed pseudonyms."""


_USUAL = Policy()


class Redactor:
    """Replaces secrets; one key, so that fingerprints compare within one installation."""

    def __init__(self, key: bytes, policy: Policy = _USUAL) -> None:
        self._key = key[:64]
        self._secret_name = re.compile("|".join((_HIDDEN_NAMES, *policy.secret_names)), re.IGNORECASE).search
        self._plain_names = frozenset(policy.plain_names)
        self._names: dict[str, bool] = {}
        self._clean: dict[str, str] = {}
        self._queries: dict[str, str] = {}
        self.hides_users = "user" in policy.pseudonyms
        self.hides_addresses = "client_ip" in policy.pseudonyms

    def fingerprint(self, body: bytes) -> str:
        """Give the keyed hash of bytes, 32 hexadecimal digits."""
        return blake2b(body, key=self._key, digest_size=16).hexdigest()

    def secret(self, value: str) -> str:
        """Give what stands for a secret: `~` and ten hexadecimal digits of its keyed hash."""
        if len(value) == 11 and _DONE.fullmatch(value):  # noqa: PLR2004 -- ours already
            return value
        return "~" + blake2b(value.encode(errors="replace"), key=self._key, digest_size=5).hexdigest()

    def clean(self, text: str) -> str:
        """Redact credentials of well-known shapes (JWT, `Bearer …`, cloud keys) wherever they stand."""
        known = self._clean.get(text)
        if known is None:
            known = self.shapes(text)
            if len(text) <= _LONGEST_REMEMBERED:
                if len(self._clean) >= _MOST_REMEMBERED:
                    self._clean.clear()  # clients choose the texts; do not grow for them
                self._clean[text] = known
        return known

    def identifier(self, text: str) -> str:
        """Redact an id that a client may have chosen; UUIDs and `traceparent` cost next to nothing."""
        length = len(text)
        if length == _UUID_LENGTH and text[8] == text[13] == text[18] == text[23] == "-":
            return text
        if length == _TRACEPARENT_LENGTH and text[2] == text[35] == text[52] == "-":
            return text
        return self.shapes(text)

    def path(self, text: str) -> str:
        """Redact a path: credentials by shape, and matrix parameters (`;jsessionid=…`) by name."""
        if may_hold_credential(text):
            text = CREDENTIAL.sub(self._found, text)
        if ";" in text:
            text = _MATRIX.sub(self._matrix, text)
        return text

    def query(self, text: str) -> str:
        """Redact a query string (without `?`): values of names that look secret, credentials by shape."""
        known = self._queries.get(text)
        if known is None:
            known = self._query(text)
            if len(text) <= _LONGEST_QUERY_REMEMBERED:
                if len(self._queries) >= _MOST_REMEMBERED:
                    self._queries.clear()
                self._queries[text] = known
        return known

    def _query(self, text: str) -> str:
        if "=" not in text:
            return self.clean(text)
        separator = "&" if "&" in text or ";" not in text else ";"
        names, pairs = self._names, text.split(separator)
        for pair in pairs:  # most queries are of names seen before and short values: nothing to do
            if len(pair) >= _SHORTEST_TOKEN or names.get(pair.partition("=")[0]) is not False:
                return separator.join([self._pair(pair) for pair in pairs])
        return text

    def uri(self, text: str) -> str:
        """Redact a request target: path, query, and the userinfo of an absolute form; the fragment is cut."""
        path, mark, query = text.partition("#")[0].partition("?")
        if "@" in path:
            path = _USERINFO.sub("", path)
        path = self.path(path)
        return path + mark + self.query(query) if mark else path

    def text(self, body: bytes, *, is_ours: bool = False) -> str:
        """Redact a whole record of unknown shape: for dead letters and events, at most 64 KiB.

        Args:
            body: The record.
            is_ours: HAProxy wrote it itself (a health line): its words stay, secrets by name and shape go.
        """
        return redact_text(body, self, is_strict=not is_ours)

    def user(self, name: str | None) -> str | None:
        """Give a user's id or name, or the keyed pseudonym that stands for it where that is configured."""
        if not self.hides_users or not name or (len(name) == 23 and _PERSON.fullmatch(name)):  # noqa: PLR2004
            return name
        digest = blake2b(name.encode(errors="replace"), key=self._key, person=b"user", digest_size=8)
        return f"person-{digest.hexdigest()}"

    def address(self, text: str | None) -> str | None:
        """Give a client's address, or where that is configured a keyed pseudonym that is an address too."""
        if not self.hides_addresses or not text:
            return text
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return None
        address = getattr(address, "ipv4_mapped", None) or address
        if address in _OURS:
            return text
        digest = blake2b(address.packed, key=self._key, person=b"address", digest_size=12).digest()
        return str(ipaddress.IPv6Address(_OURS.network_address.packed[:4] + digest))

    def shapes(self, text: str) -> str:
        """Redact credentials by shape, without remembering the text."""
        return CREDENTIAL.sub(self._found, text) if may_hold_credential(text) else text

    def is_secret(self, name: str) -> bool:
        """Whether a parameter of this name holds a secret."""
        known = self._names.get(name)
        if known is None:
            plain = unquote(name).removesuffix("[]")
            known = plain not in self._plain_names and self._secret_name(plain) is not None
            if len(self._names) >= _MOST_REMEMBERED:
                self._names.clear()
            self._names[name] = known
        return known

    def _pair(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if value and self.is_secret(name):
            return name + equals + self.secret(value)
        if len(pair) < _SHORTEST_TOKEN:
            return pair
        if "%" in value and self._hides_pair(value):
            return name + equals + self.secret(value)
        return self.shapes(pair)

    def _hides_pair(self, value: str) -> bool:
        """Whether a value is itself an encoded query with a secret (`next=%2Fcb%3Ftoken%3D…`)."""
        if not _NESTED.search(value):
            return False
        for _ in range(3):
            value = unquote(value)
        return any(self.is_secret(found[1]) for found in _PAIR.finditer(value))

    def _matrix(self, found: re.Match[str]) -> str:
        return f";{found[1]}={self.secret(found[2])}" if self.is_secret(found[1]) else found[0]

    def _found(self, found: re.Match[str]) -> str:
        return self.secret(found[0])
