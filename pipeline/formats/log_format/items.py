"""Every alias of HAProxy 2.6 to 3.4 and the expressions that a lineage can use, with what each writes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.formats.log_format import shapes
from pipeline.formats.log_format.shapes import Shape

_HEAD = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc "
_HTTP = _HEAD + "%ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
_TLS = (
    "%[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc"
)
BUILT_IN: Mapping[str, str] = {
    "httplog": _HTTP,
    "httpslog": f"{_HTTP} {_TLS}",
    "tcplog": "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq",
    "clf": '%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc '
    "%ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl",
    "tcpclf": '%{+Q}o %{-Q}ci - - [%T] "TCP " 000 %B "" "" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- '
    '%ac %fc %bc %sc %rc %sq %bq "" "" ',
    "error": f"%ci:%cp [%tr] %ft %ac/%fc {_TLS}",
}
"""What HAProxy's own names stand for (manual 8.2.2 to 8.2.5), and the usual `error-log-format`."""
TOLD_APART = ("", "httplog", "httpslog", "clf", "tcplog", "default", "json")
"""Names whose lines are known by themselves, without a format."""

_COUNTS = ("Tc", "Td", "Th", "Ti", "Tq", "Tr", "TR", "Tw", "U", "ac", "bc", "fc", "sc", "bq", "sq", "ST")
ALIASES: Mapping[str, Shape] = {
    **dict.fromkeys(_COUNTS, shapes.NUMBER),
    **dict.fromkeys(("B", "Ta", "Tt", "Tu", "rc"), shapes.LOWER_BOUND),
    **dict.fromkeys(("Ts", "lc", "pid", "rt"), shapes.NUMBER),
    **dict.fromkeys(("bi", "ci", "fi", "si"), shapes.ADDRESS),
    **dict.fromkeys(("bp", "cp", "fp", "sp"), shapes.PORT),
    **dict.fromkeys(("t", "tr"), shapes.DATE),
    **dict.fromkeys(("T", "Tl", "trg", "trl"), shapes.ZONED_DATE),
    **dict.fromkeys(("b", "f", "s"), shapes.NAME),
    **dict.fromkeys(("CC", "CS"), shapes.FREE),
    **dict.fromkeys(("H", "ID"), shapes.WORD),
    **dict.fromkeys(("HM", "HP", "HU", "HV"), shapes.TARGET),
    **dict.fromkeys(("hr", "hs"), shapes.CAPTURED),
    **dict.fromkeys(("hrl", "hsl"), shapes.FREE),
    **dict.fromkeys(("sslc", "sslv"), shapes.TLS),
    "HPO": shapes.PATH,
    "HQ": shapes.QUERY,
    "OG": shapes.ORIGIN,
    "ft": shapes.TRANSPORT,
    "ms": shapes.MILLISECONDS,
    "r": shapes.REQUEST,
    "ts": shapes.STATE,
    "tsc": shapes.STATE_AND_COOKIES,
}
HEXADECIMAL: Mapping[str, Shape] = {
    **dict.fromkeys(("Ts", "lc", "pid", "rt"), shapes.HEX_NUMBER),
    **dict.fromkeys(("bi", "ci", "fi", "si"), shapes.HEX_ADDRESS),
    **dict.fromkeys(("bp", "cp", "fp", "sp"), shapes.HEX_PORT),
    "ms": shapes.HEX_MILLISECONDS,
}
"""What the `X` flag changes."""
QUOTABLE = frozenset(
    "CC CS H HM HP HPO HQ HU HV ID OG b bi ci f fi ft hr hrl hs hsl r s si sslc sslv".split()  # noqa: SIM905
)
"""What the `Q` flag puts quotes around; numbers, dates and states stay bare."""
URL_ENCODED = frozenset({"HM", "HP", "HPO", "HQ", "HU", "HV", "hr", "hrl", "hs", "hsl", "r"})
"""Written with `#XX` for `"`, `#`, control characters and what is not ASCII; 2.6's `Q` leaves `%r` so too."""
VANISHING = frozenset({"HPO", "HQ", "hr", "hrl", "hs", "hsl"})
"""Nothing at all is written where nothing is captured, or there is no query."""
SINCE_3_1 = frozenset({"OG"})

WORDS = (
    *(
        "kong_rid",
        "traceparent",
        "req_us",
        "end_us",
        "user_agent",
        "host",
        "sni",
        "client_verify",
        "client_dn",
    ),
    *("claimed_request_id", "claimed_traceparent", "pool", "error", "cert_used", "acc_us"),
)
"""Names of what only expressions give; an operator's mapping names them, or aliases."""

EXPRESSIONS = (
    (re.compile(r"^unique-id\b|^unique_id\b"), "ID"),
    (
        re.compile(r"^res\.f?hdr\(x-kong-request-id|^var\(\w+\.k(?:ong_?)?(?:r|req|request)?_?id\)"),
        "kong_rid",
    ),
    (
        re.compile(r"^var\(\w+\.(?:claimed|client|c|in|orig)_?(?:traceparent|tp)\)|^req\.f?hdr\(traceparent"),
        "claimed_traceparent",
    ),
    (
        re.compile(
            r"^var\(\w+\.(?:claimed|client|c|in|orig)_?(?:request_?id|rid)\)|^req\.f?hdr\(x-request-id"
        ),
        "claimed_request_id",
    ),
    (re.compile(r"^var\(\w+\.(?:traceparent|tp)\)"), "traceparent"),
    (re.compile(r"^request_date\(us\)|^var\(\w+\.(?:req|request|start)(?:_start)?_us\)"), "req_us"),
    (re.compile(r"^accept_date\(us\)"), "acc_us"),
    (re.compile(r"^date\(0?,us\)"), "end_us"),
    (re.compile(r"(?:hdr\(|var\(\w+\.)(?:req_)?user[-_]?agent|^var\(\w+\.ua\)"), "user_agent"),
    (re.compile(r"hdr\(host[,)]|^var\(\w+\.(?:req_)?host\)"), "host"),
    (re.compile(r"^ssl_fc_sni"), "sni"),
    (re.compile(r"^ssl_c_used"), "cert_used"),
    (re.compile(r"^ssl_c_verify"), "client_verify"),
    (re.compile(r"^ssl_c_s_dn"), "client_dn"),
    (re.compile(r"^capture\.req\.method|^method\b"), "HM"),
    (re.compile(r"^capture\.req\.uri|^url\b"), "HU"),
    (re.compile(r"^query\b|^var\(\w+\.query\)"), "HQ"),
    (re.compile(r"^pathq?\b|^var\(\w+\.path\)"), "HP"),
    (re.compile(r"^capture\.req\.ver|^req\.ver|^fc_http_major"), "HV"),
    (re.compile(r"^txn\.status|^status\b"), "ST"),
    (re.compile(r"^txn\.sess_term_state"), "ts"),
    (re.compile(r"^txn\.conn_retries"), "rc"),
    (re.compile(r"^req\.bytes_in\b|^bytes_in\b"), "U"),
    (re.compile(r"^res\.bytes_in\b|^bytes_out\b"), "B"),
    (re.compile(r"^req\.timer\.tq\b"), "Tq"),
    (re.compile(r"^fc\.timer\.handshake"), "Th"),
    (re.compile(r"^req\.timer\.idle"), "Ti"),
    (re.compile(r"^req\.timer\.hdr"), "TR"),
    (re.compile(r"^req\.timer\.queue"), "Tw"),
    (re.compile(r"^bc\.timer\.connect"), "Tc"),
    (re.compile(r"^res\.timer\.hdr"), "Tr"),
    (re.compile(r"^res\.timer\.data"), "Td"),
    (re.compile(r"^txn\.timer\.total"), "Ta"),
    (re.compile(r"^txn\.timer\.user"), "Tu"),
    (re.compile(r"^fc\.timer\.total"), "Tt"),
    (re.compile(r"^fe_name\b"), "f"),
    (re.compile(r"^be_name\b"), "b"),
    (re.compile(r"^srv_name\b"), "s"),
    (re.compile(r"^hostname\b"), "H"),
    (re.compile(r"^pid\b"), "pid"),
    (re.compile(r"^src_port\b"), "cp"),
    (re.compile(r"^src\b"), "ci"),
    (re.compile(r"^fc_err_str"), "error"),
    (re.compile(r"^var\(\w+\.pool\)"), "pool"),
)
"""Well-known expressions, and what each gives."""

_KEEPS_MEANING = re.compile(r"json(?:\(.*\))?|lower|upper|[lr]trim\(.*\)|bytes\(0,.*\)|str|iif\(.*\)")

_LAST_CONVERTER = (
    (re.compile(r",json(?:\([^)]*\))?$"), shapes.JSON_STRING),
    (re.compile(r",(?:hex|sha1|sha2\(\d+\)|md5)$|^ssl_\w+,hex$"), shapes.HEX_TEXT),
    (re.compile(r",(?:base64|ub64enc)$"), shapes.BASE64),
    (re.compile(r"^uuid\(\d?\)$"), shapes.UUID),
    (re.compile(r",url_enc(?:\(\w*\))?$"), shapes.WORD),
    (
        re.compile(
            r",(?:length|bool|not|add\(.*\)|sub\(.*\)|mod\(.*\)|xxh32|xxh64|crc32\w?|strcmp\(.*\)|iif\(\d+,\d+\))$"
        ),
        shapes.FLAG_NUMBER,
    ),
)
_NUMERIC_FETCH = re.compile(
    r"(?:fc_err|ssl_fc_err|bc_err|ssl_bc_err|ssl_c_err|ssl_c_ca_err|ssl_c_used|ssl_c_verify|ssl_fc_is_resumed|ssl_fc|"
    r"fc_http_major|src_port|dst_port|(?:accept_|request_)?date(?:\([^)]*\))?|rand(?:\(\d+\))?|status|pid|uptime_s?|"
    r"txn\.(?:status|conn_retries|redispatched)|(?:fc|req|res|bc|txn)\.timer\.\w+|\w*bytes_(?:in|out)|process|nbsrv\(.*\))"
)
_ADDRESS_FETCH = re.compile(r"(?:src|dst)(?:,ipmask\(.*\))?")


def item_of(expression: str) -> str:
    """Name what an expression gives; empty for one that is not known, or whose converters make something else."""
    fetch, *converters = _split_converters(expression.lower())
    if not all(_KEEPS_MEANING.fullmatch(converter) for converter in converters):
        return ""
    return next((name for known, name in EXPRESSIONS if known.search(fetch)), "")


def _split_converters(expression: str) -> list[str]:
    """Cut an expression at the commas that are not in parentheses."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(expression):
        if character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and not depth:
            parts.append(expression[start:position])
            start = position + 1
    return [*parts, expression[start:]]


def shape_of(expression: str) -> Shape:
    """Say what an expression writes, by its last converter or, without one, by its fetch."""
    for converter, shape in _LAST_CONVERTER:
        if converter.search(expression):
            return shape
    if _NUMERIC_FETCH.fullmatch(expression):
        return shapes.FLAG_NUMBER
    return shapes.ADDRESS if _ADDRESS_FETCH.fullmatch(expression) else shapes.FREE
