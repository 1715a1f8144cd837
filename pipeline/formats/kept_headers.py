"""Headers that the operator keeps beside those that a lineage needs (`redaction.headers`).

They pass the same redaction as all that clients write: a name that looks secret leaves the fingerprint of its
value, credentials go by shape, pairs and queries by name, addresses and users as `redaction.pseudonyms` says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.errors import MalformedLine
from pipeline.formats.lenient_json import REFUSED, load_lenient
from pipeline.formats.redact import Redactor
from pipeline.formats.text import LONGEST_FIELD

LONGEST_VALUE = 512
"""Characters kept of one header."""
_MOST_VALUES = 16
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 1024, 128
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
_IPV6 = re.compile(r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f.]{0,15}", re.ASCII)
_LOGIN = re.compile(r"[^\s/@,;=\"']*:[^\s/@]*@")
_PERSON = re.compile(r"user|consumer|credential|custom-id|subject|e?mail|person|login|account")


class _Part(msgspec.Struct, gc=False):
    headers: dict[str, str | list[str]] | None = None


class _Entry(msgspec.Struct, gc=False):
    request: _Part | None = None
    response: _Part | None = None


_decode = msgspec.json.Decoder(_Entry).decode


class KeptHeaders:
    """Picks headers out of entries.

    Args:
        names: `request.<name>` or `response.<name>`, lower case.
        redactor: What their values pass through.
    """

    def __init__(self, names: Sequence[str], redactor: Redactor) -> None:
        self._wanted = [(shown, *shown.split(".", 1)) for shown in names]
        self._redactor = redactor
        self._known: dict[tuple[str, str], str] = {}

    def read(self, body: bytes) -> tuple[tuple[str, str], ...]:
        """Give what an entry has of them, in the order of the names; an entry that is no JSON has none."""
        parts = _headers(body)
        found = []
        for shown, part, name in self._wanted:
            value = parts[part].get(name)
            if isinstance(value, str):
                found.append((shown, self._kept(name, value)))
            elif isinstance(value, list):
                values = [self._kept(name, one) for one in value[:_MOST_VALUES] if isinstance(one, str)]
                found.append((shown, ", ".join(values)[:LONGEST_VALUE]))
        return tuple(found)

    def _kept(self, name: str, value: str) -> str:
        """Redact a value; most come again and again (`application/json`), and are remembered."""
        known = self._known.get((name, value))
        if known is None:
            known = self._redacted(name, value)
            if len(value) <= _LONGEST_REMEMBERED:
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()  # clients choose the values; do not grow for them
                self._known[name, value] = known
        return known

    def _redacted(self, name: str, value: str) -> str:
        """Redact a value whole, then cut it: half a credential has no shape to be known by."""
        redactor = self._redactor
        if not value:
            return value
        if redactor.is_secret(name):
            return redactor.secret(value)
        if redactor.hides_users and _PERSON.search(name):
            return redactor.user(value) or ""
        value = _LOGIN.sub("", value[:LONGEST_FIELD])
        text = redactor.text((redactor.uri(value) if "?" in value else value).encode(), is_ours=True)
        if redactor.hides_addresses:
            for shape in (_IPV4, _IPV6):
                text = shape.sub(lambda found: redactor.address(found[0]) or found[0], text)
        return text[:LONGEST_VALUE]


def _headers(body: bytes) -> Mapping[str, Mapping[str, Any]]:
    """Give the headers of both parts; of an entry that is not quite JSON as far as it can be read."""
    try:
        entry = _decode(body)
    except REFUSED:
        return _headers_leniently(body)
    parts = (("request", entry.request), ("response", entry.response))
    return {name: (part.headers or {}) if part is not None else {} for name, part in parts}


def _headers_leniently(body: bytes) -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {"request": {}, "response": {}}
    try:
        tree = load_lenient(body)
    except MalformedLine:
        return found
    for name in found:
        part = tree.get(name)
        headers = part.get("headers") if isinstance(part, dict) else None
        if isinstance(headers, dict):
            found[name] = headers
    return found
