"""`%r`: method, target, version, in HAProxy's escaping (manual 8.6)."""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = re.compile(r"#([0-9A-F]{2})")
_ABSOLUTE = re.compile(r"(?i)(https?|wss?)://([^/?#]*)(.*)", re.DOTALL)
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


class RequestLine(NamedTuple):
    """What a request line says; None where it does not."""

    method: str | None
    scheme: str | None
    host: str | None
    path: str | None
    query: str | None
    http_version: str | None
    is_whole: bool
    """Whether the version was there; `tune.http.logurilen` and `len` cut it off."""


def unescape(text: str) -> str:
    r"""Undo `#XX` of `%r`, `%hr`, `%hs`; bytes that are not UTF-8 then stand as `\xNN`."""
    if "#" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    try:
        return raw.encode("latin-1").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # the line held other text than HAProxy writes
        return raw


def parse_request_line(text: str) -> RequestLine:
    """Split a logged request line.

    HTTP/2 and proxied requests have the absolute form; its userinfo is left out of `host`.
    """
    method, _, rest = text.partition(" ")
    target, space, version = rest.rpartition(" ")
    if not space or not version.startswith("HTTP/"):
        target, version = rest, ""
    method = unescape(method)
    scheme = host = None
    path = unescape(target)
    if not path.startswith("/") and (absolute := _ABSOLUTE.fullmatch(path)):
        scheme, host, path = absolute[1].lower(), absolute[2].rpartition("@")[2], absolute[3] or "/"
    path, _, query = path.partition("?")
    return RequestLine(
        method=method if _METHOD.fullmatch(method) else None,
        scheme=scheme,
        host=host,
        path=path or None,
        query=query or None,
        http_version=http_version(version.removeprefix("HTTP/")),
        is_whole=bool(version),
    )


def http_version(text: str) -> str | None:
    """Give `1.0`, `1.1`, `2` or `3` for `%HV`, `fc_http_major` and the version of a request line."""
    if text in {"1.1", "1.0"}:
        return text
    if text in {"2.0", "2"}:
        return "2"
    if text in {"3.0", "3"}:
        return "3"
    return "1.1" if text == "1" else None
