"""`redaction`: what never reaches the store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from pipeline.config.section import Section

_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")
_NEVER = frozenset({"authorization", "proxy-authorization", "cookie", "cookie2", "set-cookie", "set-cookie2"})
_MOST_HEADERS = 32


class RedactionConfig(Section):
    """What never reaches the store."""

    key_file: Path | None = None
    """File with the key of the fingerprints that stand for secrets, 16 bytes or more. Empty: made once,
    beside the embedded store (`<store>.key`), or in `data_dir` where the store is a server."""
    secret_names: tuple[str, ...] = ()
    """Regular expressions of further query parameters whose values are secret; any case, anywhere in a name."""
    plain_names: tuple[str, ...] = ()
    """Query parameters, by exact name, whose values are kept although they look secret (`code`, `state`)."""
    pseudonyms: tuple[Literal["user", "client_ip"], ...] = ()
    """What is stored as a keyed pseudonym: `user` (consumers, subjects, certificates), `client_ip`."""
    headers: tuple[str, ...] = ()
    """Further headers of Kong's entries to keep, redacted, in `attempts.headers`: `x-tenant-id` or
    `request.x-tenant-id` of the request, `response.x-cache` of the answer; at most 32, 512 characters each."""
    originals_key_file: Path | None = None
    """File with a key of 16 bytes or more: dead letters then keep their original bytes too, encrypted
    (AES-256-GCM). Empty: redacted bytes and a fingerprint alone."""
    redact_at: Literal["parse", "ingest"] = "parse"
    """`ingest` redacts before the bus, for those who share one; a mended parser can then not go back."""

    @field_validator("headers")
    @classmethod
    def _headers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        shown = dict.fromkeys(
            name if name.startswith(("request.", "response.")) else f"request.{name}"
            for name in map(str.lower, names)
        )
        for name in shown:
            header = name.partition(".")[2]
            if not _HEADER.fullmatch(header):
                raise ValueError(f"{name!r} is not the name of a header")
            if header in _NEVER:
                raise ValueError(f"{header} is never kept: it holds credentials")
        if len(shown) > _MOST_HEADERS:
            raise ValueError(f"{len(shown)} headers; at most {_MOST_HEADERS} can be kept")
        return tuple(shown)

    @field_validator("secret_names")
    @classmethod
    def _expressions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                re.compile(name)
            except re.error as error:
                raise ValueError(f"{name!r} is not a regular expression: {error}") from error
        return names
