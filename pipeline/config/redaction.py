"""`redaction`: what never reaches the store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from pipeline.config.section import Section


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
    redact_at: Literal["parse", "ingest"] = "parse"
    """`ingest` redacts before the bus, for those who share one; a mended parser can then not go back."""

    @field_validator("secret_names")
    @classmethod
    def _expressions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                re.compile(name)
            except re.error as error:
                raise ValueError(f"{name!r} is not a regular expression: {error}") from error
        return names
