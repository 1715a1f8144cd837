"""PURE: names, statuses and errors of HTTP spans by the semantic conventions 1.44."""

from __future__ import annotations

_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
OTHER_METHOD = "_OTHER"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CLIENT_ERROR, _SERVER_ERROR, _CLIENT_CLOSED = 400, 500, 499
CLIENT_ABORT = "client_abort"
_ABORTS = {"C": CLIENT_ABORT, "c": CLIENT_ABORT, "S": "server_abort", "s": "server_timeout"}
_BROKEN_OFF = frozenset("DL")
"""Second letters of states in which the response had begun and was not finished (HAProxy manual 8.5)."""


def known_method(method: str | None) -> str | None:
    """Give a method as `http.request.method` takes it: those that are not known become `_OTHER`."""
    return method if method is None or method in _METHODS else OTHER_METHOD


def name_of(method: str | None, target: str | None) -> str:
    """Give a span's name: method and, where there is one of few values, the target; never a path."""
    verb = method if method in _METHODS else "HTTP"
    return f"{verb} {target}" if target else verb


def split_host(host: str | None, scheme: str | None) -> tuple[str | None, int | None]:
    """Give address and port of a Host header; the scheme's own port where it names none."""
    if not host:
        return None, None
    name, colon, digits = host.rpartition(":")
    if colon and digits.isdigit() and digits.isascii() and len(digits) <= 5 and not name.endswith(":"):  # noqa: PLR2004 -- 65535
        return name.strip("[]"), int(digits)
    return host.strip("[]"), _DEFAULT_PORTS.get(scheme or "")


def edge_error(status: int | None, termination: str | None) -> tuple[str | None, bool]:
    """Give `error.type` of the edge's SERVER span, and whether its status is Error.

    4xx is the client's own fault and stays unset. A client that left is told by `client_abort`; it is an error
    of the span only where a response had begun and was cut off.
    """
    state = (termination or "") + "--"
    cause, phase = state[0], state[1]
    if cause != "-" and phase in _BROKEN_OFF:
        return _ABORTS.get(cause, "edge_abort"), True
    if status is None:
        return _ABORTS.get(cause), cause not in "-Cc"
    if status >= _SERVER_ERROR:
        return str(status), True
    return None, False


def server_error(status: int | None) -> tuple[str | None, bool]:
    """Give the same of another SERVER span: 5xx is an error, and a client that left (499) is named."""
    if status is None:
        return None, False
    if status == _CLIENT_CLOSED:
        return CLIENT_ABORT, False
    return (str(status), True) if status >= _SERVER_ERROR else (None, False)


def client_error(status: int | None) -> tuple[str | None, bool]:
    """Give the same of a CLIENT span: whoever asked got 4xx or 5xx, or no answer at all."""
    if status is None:
        return "no_response", True
    return (str(status), True) if status >= _CLIENT_ERROR else (None, False)
