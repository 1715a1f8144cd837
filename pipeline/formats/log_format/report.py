"""What the lines of a format can tell a lineage, what they cannot, and what to add to the format."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.formats.log_format.compile import Format
from pipeline.formats.log_format.pieces import Piece
from pipeline.formats.log_format.shapes import FLAG_NUMBER, FREE, LOWER_BOUND, PORT


class Need(NamedTuple):
    """A field of the lineage, what gives it, and what its lack means."""

    field: str
    given_by: tuple[tuple[str, ...], ...]
    """Sets of keys, any of which is enough."""
    importance: str
    """`needed`: no lineage without it; `wanted`: it is poorer; `useful`."""
    lack: str
    add: str


_DATES = (("tr",), ("t",), ("trg",), ("trl",), ("T",), ("Tl",), ("Ts",), ("req_us",), ("acc_us",))
NEEDS = (
    Need("request_id", (("ID",),), "needed", "its lines join with no line of Kong's by the request id",
         "%ID, with unique-id-format and `http-request set-header X-Request-ID %[unique-id]`"),
    Need("start_time", _DATES, "needed",
         "requests stand where the syslog header's second minus their duration puts them", "%tr"),
    Need("status", (("ST",),), "wanted", "what the client got is known from Kong's side only", "%ST"),
    Need("path", (("r",), ("HU",), ("HP",), ("HPO",)), "wanted",
         "requests that never reached Kong have no path", "%{+Q}r"),
    Need("method", (("r",), ("HM",)), "wanted", "requests that never reached Kong have no method", "%HM"),
    Need("edge.termination", (("tsc",), ("ts",)), "wanted",
         "why a request ended, and whether Kong should have seen it, is a guess", "%tsc"),
    Need("edge.timers", (("TR", "Tw", "Tc", "Tr", "Ta"),), "wanted",
         "where the time went at the edge is not known", "%TR/%Tw/%Tc/%Tr/%Ta"),
    Need("gateway_request_id", (("kong_rid",),), "wanted",
         "which of several attempts the client got is not proven: lineages are `matched`, never `proven`",
         "%[capture.res.hdr(0)], with `declare capture response len 64` and "
         "`http-response capture res.fhdr(x-kong-request-id) id 0`"),
    Need("edge.retries", (("rc",),), "wanted", "HAProxy's retries show only as Kong's attempts", "%rc"),
    Need("client_ip", (("ci",),), "wanted", "the client is known from Kong's side only", "%ci:%cp"),
    Need("edge.frontend", (("ft",), ("f",)), "wanted", "lines of several frontends cannot be told apart", "%ft"),
    Need("edge.server", (("b", "s"),), "wanted", "which Kong node was asked is not known", "%b/%s"),
    Need("trace_id", (("traceparent",),), "useful", "traces are found by Kong's ids only", "%[var(txn.traceparent)]"),
    Need("edge.log_counter", (("lc",),), "useful", "lines that were lost on the way here cannot be counted", "%lc"),
    Need("edge.pid", (("pid",),), "useful",
         "restarts of HAProxy are seen only in syslog headers that carry the pid", "%pid"),
    Need("bucket", (("req_us",),), "useful",
         "both halves are stored together by the hour of their start only", "%[var(txn.req_us)]"),
    Need("host", (("host",), ("r",)), "useful",
         "the host is known from Kong's side only", "%[capture.req.hdr(N),json(utf8s)]"),
    Need("user_agent", (("user_agent",),), "useful",
         "the user agent is known from Kong's side only", "%[capture.req.hdr(N),json(utf8s)]"),
    Need("response_bytes", (("B",),), "useful", "sizes are known from Kong's side only", "%B"),
    Need("edge.tls", (("sslv",),), "useful", "TLS of the client's connection is not known", "%sslv %sslc"),
    Need("edge.claimed", (("claimed_request_id",), ("claimed_traceparent",)), "useful",
         "ids that clients made up are seen at Kong only", "%[capture.req.hdr(N),json(utf8s)] of x-request-id"),
)  # fmt: skip
_SESSION_NEEDS = {
    "start_time",
    "edge.termination",
    "client_ip",
    "edge.frontend",
    "edge.server",
    "edge.log_counter",
}
_ERROR_NEEDS = {"start_time", "status", "edge.termination", "client_ip", "edge.frontend"}
_ORDER = {"needed": 0, "wanted": 1, "useful": 2}


class Recovered(NamedTuple):
    """A field that the lines give, and by which items."""

    field: str
    items: tuple[str, ...]


class FormatReport(NamedTuple):
    """What `hoptrail check format` says."""

    kind: str
    """`requests`, `sessions` for a format without any item that only HTTP has, or `errors`."""
    shape: str
    """`text`, `json`, or `json (encoded by HAProxy)`."""
    recovered: tuple[Recovered, ...]
    missing: tuple[Need, ...]
    """Worst first."""
    ignored: tuple[str, ...]
    """Items that a lineage has no place for."""
    ambiguous: tuple[str, ...]
    """Items whose values some line gives in two ways."""
    warnings: tuple[str, ...]


def report_on(compiled: Format, *, is_error: bool = False) -> FormatReport:
    """Say what the lines of a format can tell a lineage.

    Args:
        compiled: The format.
        is_error: It is an `error-log-format`: of connections that failed before there was a request.
    """
    keys = set(compiled.keys)
    is_session = compiled.is_session and not is_error
    written = {piece.key: piece.written for piece in compiled.pieces if piece.key}
    recovered: list[Recovered] = []
    missing: list[Need] = []
    for need in NEEDS:
        if (is_error and need.field not in _ERROR_NEEDS) or (is_session and need.field not in _SESSION_NEEDS):
            continue
        given = next((names for names in need.given_by if keys.issuperset(names)), None)
        if given is None:
            missing.append(need)
        else:
            recovered.append(Recovered(need.field, tuple(written.get(name, name) for name in given)))
    encoded = "json (encoded by HAProxy)"
    return FormatReport(
        kind="errors" if is_error else "sessions" if is_session else "requests",
        shape=encoded if compiled.encoding else "json" if compiled.is_json else "text",
        recovered=tuple(recovered),
        missing=tuple(sorted(missing, key=lambda need: _ORDER[need.importance])),
        ignored=tuple(
            dict.fromkeys(piece.written for piece in compiled.pieces if piece.key and not piece.is_known)
        ),
        ambiguous=compiled.ambiguous(),
        warnings=tuple(_warnings(compiled)),
    )


def _warnings(compiled: Format) -> list[str]:
    found = [
        f"{written} has no name, so HAProxy does not write it: %(name){written[1:]}"
        for written in compiled.unnamed
    ]
    if compiled.encoding:
        found.append("%{+json}o leaves control characters and bytes that are not UTF-8 as they are: such lines are "
                     "read, and flagged, but other tools may refuse them")  # fmt: skip
    for leaf in () if compiled.encoding else compiled.leaves:
        for piece in leaf.pieces:
            found += _warnings_on(piece, is_bare=leaf.is_bare) if piece.key else []
    return list(dict.fromkeys(found))


def _warnings_on(piece: Piece, *, is_bare: bool) -> list[str]:
    """Say what of hand-written JSON breaks it for some requests."""
    written = piece.written
    if is_bare and piece.shape == LOWER_BOUND:
        return [f"{written} may be written with a +, which is no JSON: put it in quotes"]
    if is_bare and (piece.shape in {PORT, FLAG_NUMBER}):
        return [f"{written} may be -, which is no JSON: put it in quotes"]
    if piece.shape == FREE and _FROM_CLIENT.search(written):
        return [
            f"{written} may hold a quote or a control character, which breaks the JSON: end it with ,json(utf8s)"
        ]
    if written in {"%r", "%HU", "%HP", "%HPO", "%HQ", "%HM", "%hr", "%hs"}:
        return [
            f"{written} may hold a backslash, which breaks the JSON: log an expression that ends with ,json(utf8s)"
        ]
    return []


_FROM_CLIENT = re.compile(
    r"^%C[CS]$|hdr\(|hdrs|capture\.|cook|path|query|url|param|body|payload|ssl_c_|sni|auth|ua\b|host"
)
