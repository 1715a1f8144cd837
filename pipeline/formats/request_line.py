"""`%r`: method, target, version, in HAProxy's escaping (manual 8.6)."""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = re.compile(r"#([0-9A-F]{2})")
_ABSOLUTE = re.compile(r"(?i)(https?|wss?)://([^/?#]*)(.*)", re.DOTALL)
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_USUAL_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


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


class Target(NamedTuple):
    """What a request target says; None where it does not. A fragment, which no client should send, is cut."""

    scheme: str | None
    host: str | None
    path: str | None
    query: str | None


def unescape(text: str) -> str:
    r"""Undo `#XX` of `%r`, `%hr`, `%hs`; bytes that are not UTF-8 then stand as `\xNN`."""
    if "#" not in text:
        return text
    raw = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    try:
        return raw.encode("latin-1").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # the line held other text than HAProxy writes
        return raw


def split_target(target: str) -> Target:
    """Split a request target, origin or absolute form; userinfo is left out of `host`."""
    scheme = host = None
    if target[:1] != "/" and (absolute := _ABSOLUTE.fullmatch(target)):
        scheme, host, target = absolute[1].lower(), absolute[2].rpartition("@")[2], absolute[3]
        if target[:1] != "/":
            target = "/" + target
    if "#" in target:
        target = target.partition("#")[0]
    path, _, query = target.partition("?")
    return Target(scheme, host, path or None, query or None)


def parse_request_line(text: str) -> RequestLine:
    """Split a logged request line; HTTP/2 and proxied requests have the absolute form."""
    method, _, rest = text.partition(" ")
    target, space, version = rest.rpartition(" ")
    if not space or version[:5] != "HTTP/":
        target, version = rest, ""
    elif method in _USUAL_METHODS and target[:1] == "/" and "#" not in target:  # nothing to undo, as usual
        before, _, behind = target.partition("?")
        return RequestLine(
            method, None, None, before, behind or None, http_version(version[5:]), is_whole=True
        )
    if method not in _USUAL_METHODS:
        method = unescape(method)
        if not _METHOD.fullmatch(method):
            method = ""
    scheme, host, path, query = split_target(unescape(target))
    return RequestLine(method or None, scheme, host, path, query, http_version(version[5:]), bool(version))


_VERSIONS = {"1.1": "1.1", "1.0": "1.0", "2.0": "2", "2": "2", "3.0": "3", "3": "3", "1": "1.1", "0.9": "0.9"}


def http_version(text: str) -> str | None:
    """Give `1.0`, `1.1`, `2` or `3` for `%HV`, `fc_http_major` and the version of a request line."""
    return _VERSIONS.get(text)
