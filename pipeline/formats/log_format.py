"""Compiles a reader from the very `log-format` string of a `haproxy.cfg` (manual 8.2.6).

A format is literal text and items: `%alias`, `%{flags}alias`, `%[expression]`, `%(name:type)…` (3.0). The
reader is one regular expression, or, where the string is a JSON object, a mapping from its keys to items.

Not read: `%{+json}o` and `%{+cbor}o` (3.0) encode the line themselves.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from pipeline.errors import ConfigError
from pipeline.formats.lenient_json import load_object

_HEAD = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc "
_HTTP = _HEAD + "%ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
BUILT_IN = {
    "httpslog": _HTTP + " %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed]"
    " %[ssl_fc_sni]/%sslv/%sslc",
    "clf": '%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc '
    "%ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl",
}
"""What HAProxy's own names stand for (manual 8.2.3 to 8.2.5), where the string serves to read it."""

NAMES = ("httplog", "httpslog", "clf", "json")
"""Names that `--log-format` takes; `httplog` and `json` are told apart without a compiled reader."""

_ITEM = re.compile(
    r"%(?:\((?P<name>\w*)(?::\w+)?\))?(?:\{(?P<flags>[^}]*)\})?"
    r"(?:\[(?P<expr>(?:[^\[\]]|\[[^\]]*\])*)\]|(?P<alias>[A-Za-z]+)|(?P<percent>%))"
)

_INTEGER = r"[+-]?\d+|-"
_DATE = r"[^\]]{20,35}"
_NUMBERS = (
    *("TR", "Tw", "Tc", "Tr", "Td", "Ta", "Th", "Ti", "Tt", "Tu", "Tq", "ST", "B", "U", "rt", "lc", "pid"),
    *("ac", "fc", "bc", "sc", "rc", "sq", "bq", "cp", "fp", "bp", "sp", "ms", "Ts"),
)
_PATTERNS = {
    **dict.fromkeys(_NUMBERS, _INTEGER),
    **dict.fromkeys(("t", "tr", "trg", "trl", "T", "Tl"), _DATE),
    "tsc": r"[-A-Za-z]{4}",
    "ts": r"[-A-Za-z]{2}",
    "ci": r"\S+",
    "b": r"[^\s/]+",
    "s": r"\S+",
}

_CAPTURES = {
    **dict.fromkeys(("hr", "hs"), r"(?: \{[^{}]*\})?"),
    **dict.fromkeys(("hrl", "hsl"), r'(?: "[^"]*")*'),
}

EXPRESSIONS = (
    (re.compile(r"^unique-id\b|^unique_id\b"), "ID"),
    (re.compile(r"kong[-_]?(?:rid|request[-_]?id)|x-kong-request-id|^var\((?:txn|sess)\.kid\)"), "kong_rid"),
    (re.compile(r"^var\([a-z]+\.(?:claimed|client|c)_?(?:traceparent|tp)\)"), "claimed_traceparent"),
    (re.compile(r"^var\([a-z]+\.(?:claimed|client|c)_?(?:request_?id|rid)\)"), "claimed_request_id"),
    (re.compile(r"traceparent|^var\([a-z]+\.tp\)"), "traceparent"),
    (re.compile(r"req_us|request_date\(us\)|request_start"), "req_us"),
    (re.compile(r"^date\(0,us\)|end_us"), "end_us"),
    (re.compile(r"user[-_]?agent"), "user_agent"),
    (re.compile(r"^(?:var\([a-z]+\.(?:req_)?host\)|.*hdr\(host\))"), "host"),
    (re.compile(r"^ssl_fc_sni"), "sni"),
    (re.compile(r"^ssl_c_verify"), "client_verify"),
    (re.compile(r"^ssl_c_s_dn"), "client_dn"),
    (re.compile(r"^capture\.req\.method|^method\b"), "HM"),
    (re.compile(r"^capture\.req\.uri|^url\b"), "HU"),
    (re.compile(r"^path\b|^var\([a-z]+\.path\)"), "HP"),
    (re.compile(r"^capture\.req\.ver|^req\.ver|^fc_http_major"), "HV"),
    (re.compile(r"^txn\.status|^status\b"), "ST"),
    (re.compile(r"^txn\.sess_term_state"), "tsc"),
    (re.compile(r"^txn\.conn_retries"), "rc"),
    (re.compile(r"^src_port\b"), "cp"),
    (re.compile(r"^src\b"), "ci"),
    (re.compile(r"^fc_err_str"), "error"),
    (re.compile(r"var\([a-z]+\.pool\)"), "pool"),
)
"""Well-known expressions, and the item that each gives."""


class LineReader(Protocol):
    """Reads the items of one line."""

    def __call__(self, message: str) -> dict[str, str | None] | None:
        """Give the items by name; None where the line is not of this format."""
        ...


class Format(NamedTuple):
    """A compiled format."""

    read: LineReader
    items: tuple[str, ...]
    """What its lines give, by item name."""
    unknown: tuple[str, ...]
    """Aliases and expressions that are passed over."""


def compile_format(text: str) -> Format:
    """Compile a `log-format` string, or a built-in name.

    Raises:
        ConfigError: It has no item, or encodes itself (`+json`, `+cbor`).
    """
    text = BUILT_IN.get(text, text).replace("\\ ", " ")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if re.search(r"%\{[^}]*\+(?:json|cbor)", text):
        raise ConfigError("log_format: lines of %{+json}o and %{+cbor}o are not read; write the JSON by hand")
    if not _ITEM.search(text):
        names = ", ".join(NAMES)
        raise ConfigError(f"log_format: {text[:60]!r} is neither a built-in name ({names}) nor a log-format")
    return _compile_json(text) if text.lstrip().startswith('{"') else _compile_text(text)


def _compile_text(text: str) -> Format:
    """Build one regular expression: literal text between groups."""
    pattern: list[str] = []
    items: list[str] = []
    unknown: list[str] = []
    position, quoted = 0, False
    for found in _ITEM.finditer(text):
        pattern.append(re.escape(text[position : found.start()]))
        position = found.end()
        if found["percent"]:
            pattern.append("%")
            continue
        flags = found["flags"] or ""
        if found["alias"] == "o":  # flags for all that follow, no text of its own
            quoted = "+Q" in flags or (quoted and "-Q" not in flags)
            position += text[position : position + 1] == " "
            continue
        item = _item_of(found)
        is_quoted = "-Q" not in flags and (quoted or "+Q" in flags)
        if item in _CAPTURES:  # they vanish, with the space before, where nothing is captured
            pattern[-1] = pattern[-1].removesuffix(r"\ ")
            pattern.append(_CAPTURES[item])
        else:
            group = f"(?P<{item}>" if item and item not in items else "(?:"
            pattern.append(_group(group, item or "", is_quoted=is_quoted))
        (items if item else unknown).append(item or found[0])
    pattern.append(re.escape(text[position:]).rstrip())
    match = re.compile("".join(pattern) + r"\s*", re.DOTALL).fullmatch

    def read(message: str) -> dict[str, str | None] | None:
        found = match(message)
        return found.groupdict() if found else None

    return Format(read, tuple(dict.fromkeys(items)), tuple(unknown))


def _group(group: str, item: str, *, is_quoted: bool) -> str:
    inner = _PATTERNS.get(item)
    if is_quoted:
        inner = (inner or r'[^"]*').replace(r"[^\s/]+", r'[^\s/"]+').replace(r"\S+", r'[^\s"]+')
        return f'"?{group}{inner})"?'
    if inner is None:
        inner = ".*" if item in {"CC", "CS", "r"} else r"\S*"
    return f"{group}{inner})"


def _compile_json(text: str) -> Format:
    """Map each key of a hand-written JSON object to the item in its value."""
    keys, unknown = {}, []
    for found in re.finditer(
        r'"(?P<key>[^"]+)"\s*:\s*"?(?P<value>%[^,]*?(?:\[(?:[^\[\]]|\[[^\]]*\])*\])?[^,\[\]"}]*)"?', text
    ):
        item = _ITEM.match(found["value"])
        name = _item_of(item) if item else None
        if name:
            keys[found["key"]] = name
        else:
            unknown.append(found["value"])
    if not keys:
        raise ConfigError("log_format: this JSON has no key whose value is an item that is known")

    def read(message: str) -> dict[str, str | None] | None:
        values = load_object(message)
        if values is None:
            return None
        items = {name: _as_logged(values.get(key)) for key, name in keys.items()}
        accept = items.get("Ts")
        if accept and "." in accept:  # "%Ts.%ms" in one value
            items["Ts"], _, items["ms"] = accept.partition(".")
        return items

    return Format(read, tuple(dict.fromkeys(keys.values())), tuple(unknown))


def _as_logged(value: object) -> str | None:
    return None if value is None else value if isinstance(value, str) else str(value)


def _item_of(found: re.Match[str]) -> str | None:
    """Name the item; None for an expression that is not known."""
    if found["alias"]:
        return found["alias"]
    expression = (found["expr"] or "").strip().lower()
    return next((name for known, name in EXPRESSIONS if known.search(expression)), None)
