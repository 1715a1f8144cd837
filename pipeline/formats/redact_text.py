"""Redacts a whole record of unknown shape, for dead letters and events.

Allow-list by default: of JSON only what its writers themselves put there stays, of a line its numbers, dates,
addresses and plain words. What a client could have written stands as its fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from pipeline.formats.text import decode

LONGEST_TEXT = 64 * 1024

_NUMBERS = frozenset(
    """started_at status code port balancer_start balancer_start_ns balancer_latency balancer_latency_ns server_port
    size kong proxy request receive received sent created_at updated_at retries connect_timeout read_timeout
    write_timeout acc acc_us req_us end_us cp fp sp bp Th Ti TR Tw Tc Tr Td Ta Tt Tu st rc sq bq ac fc bc sc B U hv
    h cc cv roll rt lc pid serr cerr caerr kong_pl kong_ul""".split()  # noqa: SIM905
)
_NAMES = frozenset(
    """v id state source method ip host node name workspace workspace_name protocol protocols client_ip service
    route version cipher scheme upstream_status ci fi fe be srv si bi ts m ver tls cph alpn pool ferr ferrs serrs
    kong_rid ssl_verify""".split()  # noqa: SIM905
)
"""Keys whose values HAProxy, Kong or the operator write."""
_SAFE = _NUMBERS | _NAMES
_NUMBER = re.compile(r"[-+]?[\d.]{0,24}")
_NAME = re.compile(r"(?!hap-)[\w .:,/<>()~-]{0,64}|hap-(?:req|err)/\d{1,3}")
_TARGETS = frozenset({"uri", "url", "upstream_uri", "path", "q"})
_SCOPES = frozenset(
    """request response latencies tries headers querystring service route consumer authenticated_entity
    trace_id session upstream correlation_id custom_id username tags user-agent x-request-id x-request-start traceparent
    x-kong-request-id cookie authorization set-cookie content-type content-length""".split()  # noqa: SIM905
)
_JSON = re.compile(r'"((?:[^"\\]|\\.)*)("?)(\s*:)?|([{\[])|([}\]])|([^\s"{}\[\],:]+)', re.DOTALL)
_SCALAR = re.compile(r"-?\d[\d.eE+-]*|true|false|null")
_SIMPLE_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,40}")
_CUT_VALUE = re.compile(r"[^&;=/?]*\Z")
_FEW_DIGITS = 6

_CREDENTIALS = re.compile(
    r"((?:proxy-)?authorization|(?:set-)?cookie|x-[a-z-]*(?:key|token|secret)|apikey)(\s*[:=]\s*)[^\"\r\n]+",
    re.IGNORECASE,
)
_PAIR = re.compile(r"([^\s=&?;,|{}\"'<>]{1,128})(=|%3[Dd])([^\s&;,|{}\"'<>]+)")
_CAPTURED = re.compile(r"\{[^{}]*\}")
_USERINFO = re.compile(r"(?<=//)[^/?#@\s\"]*@")
_WORD = re.compile(r"[A-Za-z0-9_.~+/=%-]{8,}")
_PLAIN = re.compile(
    r"[-+]?\d+(?:[./:+-]\d+)*"  # numbers, timers, versions, IPv4
    r"|[A-Z]?[a-z]+|[A-Z]+|[A-Z]+/\d(?:\.\d)?"  # words, HTTP/1.1
    r"|[a-z]+(?:[-_.][a-z]+\d{0,3})*(?:/<?[A-Za-z]+[\w-]{0,3}>?)?"  # names of proxies, servers, hosts
    r"|\d\d/[A-Z][a-z]{2}/\d{4}(?:[.:]\d+)*|\d{4}-\d\d-\d\dT[\d.:+-]+Z?|(?:/[A-Za-z._-]{1,24})+/?"
)


class _Redacts(Protocol):
    def secret(self, value: str) -> str: ...

    def uri(self, text: str) -> str: ...

    def shapes(self, text: str) -> str: ...

    def is_secret(self, name: str) -> bool: ...


def redact_text(body: bytes, redactor: _Redacts, *, is_strict: bool) -> str:
    """Redact a record; at most `LONGEST_TEXT` characters, without control characters.

    Args:
        body: The record.
        redactor: Makes the fingerprints.
        is_strict: Keep only what is known to be harmless; otherwise take out what looks secret.
    """
    text = _printable(decode(body[:LONGEST_TEXT])[0])
    start = min((at for at in (text.find("{"), text.find("[{")) if at >= 0), default=-1)
    if start >= 0 and '"' in text[start : start + 64]:
        return (_line(text[:start], redactor, is_strict) + "".join(_json(text[start:], redactor)))[
            :LONGEST_TEXT
        ]
    return _line(text, redactor, is_strict)[:LONGEST_TEXT]


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 256 else "?" for c in text)  # noqa: PLR2004


def _json(text: str, redactor: _Redacts) -> Iterator[str]:
    """Go through JSON, whole or broken, token by token."""
    key, depth, end = "", 0, 0
    for found in _JSON.finditer(text):
        yield text[end : found.start()]
        end = found.end()
        string, quote, colon, opens, closes, bare = found.groups()
        if opens or closes:
            depth += 1 if opens else -1
            yield found[0]
        elif bare:
            is_number = _SCALAR.fullmatch(bare) is not None and not redactor.is_secret(key)
            yield bare if is_number and (key in _SAFE or len(bare) <= _FEW_DIGITS) else redactor.secret(bare)
        elif colon:
            key = string
            is_known = key in _SAFE or key in _SCOPES or key in _TARGETS
            is_harmless = is_known or (depth <= 1 and _SIMPLE_KEY.fullmatch(key) is not None)
            yield f'"{key if is_harmless else redactor.secret(key)}"{colon}'
        elif key in _TARGETS:
            target = string.replace("\\/", "/")
            target = target if quote else _CUT_VALUE.sub("", target)  # half a credential has no shape
            yield f'"{redactor.uri("?" + target)[1:] if key == "q" else redactor.uri(target)}{quote}'
        else:
            shape = _NUMBER if key in _NUMBERS else _NAME
            is_kept = not string or (key in _SAFE and quote and shape.fullmatch(string) is not None)
            yield f'"{redactor.shapes(string) if is_kept else redactor.secret(string)}{quote}'


def _line(text: str, redactor: _Redacts, is_strict: bool) -> str:
    text = _CREDENTIALS.sub(lambda found: found[1] + found[2] + redactor.secret(found[0]), text)
    text = redactor.shapes(_USERINFO.sub("", text))

    def pair(found: re.Match[str]) -> str:
        is_kept = not redactor.is_secret(found[1]) and (not is_strict or _SCALAR.fullmatch(found[3]))
        name = _word(found[1], redactor) if is_strict else found[1]
        return name + found[2] + (found[3] if is_kept else redactor.secret(found[3]))

    text = _PAIR.sub(pair, text)
    if not is_strict:
        return text
    text = _CAPTURED.sub(lambda found: "{" + redactor.secret(found[0]) + "}", text)
    return _WORD.sub(lambda found: _word(found[0], redactor), text)


def _word(word: str, redactor: _Redacts) -> str:
    """Keep a word of a language, a number, a date, a name; not what looks like made by chance."""
    bare = word.strip("-_.=+")
    if "~" in word or _PLAIN.fullmatch(bare):
        return word
    return redactor.secret(word)
