"""Shapes by which a credential is known wherever it stands, and the question whether looking for one is worth it."""

from __future__ import annotations

import re

CREDENTIAL = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]{4,}(?:\.[\w-]*)?"  # JWT
    r"|(?<![A-Za-z])(?i:bearer|basic|digest|negotiate|apikey|token)(?:[\s+_:=]|%20|%3[AaDd])+[\w.~+/=%-]{6,}"
    r"|gh[a-z]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{12,}|xox[a-z]-[\w-]{8,}|[a-z]{2}_(?:live|test)_\w{8,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{12,}|AIza[\w-]{20,}|hv[sb]\.[\w-]{16,}|npm_\w{20,}"
    r"|-----BEGIN[^-]*PRIVATE KEY.*",
    re.ASCII | re.DOTALL,
)
"""Shapes of credentials."""
_WITHOUT_UNDERSCORES = re.compile(r"[A-Za-z0-9/.-]*").fullmatch
"""Most paths and host names."""


def may_hold_credential(text: str) -> bool:
    """Whether a text has a word of such a shape in it; looking for words costs a fifth of looking for shapes.

    True is no more than "look": `CREDENTIAL` never matches where this is false.
    """
    if text.replace("/", "").isalnum():  # all shapes but those of cloud keys have a separator in them
        return _has_cloud_key(text)
    if _WITHOUT_UNDERSCORES(text):
        return "eyJ" in text or "hv" in text or "xox" in text or "glpat-" in text or _has_cloud_key(text)
    if "_" in text and (
        "gh" in text or "_pat_" in text or "_live_" in text or "_test_" in text or "npm_" in text
    ):
        return True
    small = text.lower()
    return (
        "token" in small
        or "bearer" in small
        or "basic" in small
        or "apikey" in small
        or "digest" in small
        or "negotiate" in small
        or "eyj" in small
        or "hv" in small
        or "xox" in small
        or "glpat-" in small
        or "-----" in small
        or _has_cloud_key(text)
    )


def _has_cloud_key(text: str) -> bool:
    return "A" in text and ("AKIA" in text or "ASIA" in text or "AIza" in text)
