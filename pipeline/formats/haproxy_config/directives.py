"""What a line inside a section changes: formats, captures, targets, and what its rules say of expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from pipeline.errors import ConfigError
from pipeline.formats.haproxy_config.log_target import LogTarget, read_log_target
from pipeline.formats.log_format.items import item_of

_FORWARDED = {"x-request-id": "ID", "traceparent": "traceparent", "x-request-start": "req_us"}
"""Headers that the gateway knows a request by, and the name of what a log line must say."""
_ONE_EXPRESSION = re.compile(r"(?:t=)?%\[(.+)\]")
_SET_VAR = re.compile(r"set-var\((\w+\.[\w.]+)(?:,[^)]*)?\)")
_SLOT = re.compile(r"\d{1,3}")
_MOST_SLOTS = 64


@dataclass
class Section:
    """What has been said so far in a section, or in the `defaults` it inherits."""

    mode: str = "tcp"
    log_format: str = ""
    error_log_format: str = ""
    log_format_sd: str = ""
    targets: list[LogTarget] = field(default_factory=list)
    request_captures: list[str] = field(default_factory=list)
    response_captures: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    options: set[str] = field(default_factory=set)
    server: str = ""
    """Of a ring."""
    format: str = "raw"
    length: int = 1024
    inherits_targets: bool = False
    """Whether `targets` are those of the defaults; the first own `log` line replaces them."""

    def copy(self) -> Self:
        """Give a section that inherits all this; captures and rules are never inherited."""
        return type(self)(
            mode=self.mode,
            log_format=self.log_format,
            error_log_format=self.error_log_format,
            log_format_sd=self.log_format_sd,
            targets=list(self.targets),
            options=set(self.options),
            inherits_targets=True,
        )


@dataclass
class Profile:
    """A `log-profile` (3.1): its formats by step."""

    formats: dict[str, str] = field(default_factory=dict)


def obey(words: list[str], section: Section | Profile) -> None:
    """Take one line in; what does not concern logs is passed over."""
    is_no = words[0] == "no" and len(words) > 1
    directive, *rest = words[1:] if is_no else words
    if isinstance(section, Profile):
        if directive == "on" and "format" in rest:
            section.formats[rest[0]] = rest[rest.index("format") + 1]
        return
    act = _ACTS.get(directive)
    if act is not None and (rest or is_no):
        act(section, rest, is_no)


def _log(section: Section, rest: list[str], is_no: bool) -> None:
    if section.inherits_targets or is_no:
        section.targets = []
        section.inherits_targets = False
    if not is_no:
        section.targets.append(read_log_target(rest))


def _mode(section: Section, rest: list[str], _: bool) -> None:
    section.mode = rest[0]


def _format(name: str) -> Callable[[Section, list[str], bool], None]:
    def set_format(section: Section, rest: list[str], _: bool) -> None:
        if len(rest) > 1 and rest[1] not in {"if", "unless"}:
            raise ConfigError(f"{name.replace('_', '-')} takes one word: escape or quote its spaces")
        setattr(section, name, rest[0])

    return set_format


def _option(section: Section, rest: list[str], is_no: bool) -> None:
    name = rest[0] if rest else ""
    if name in {"httplog", "httpslog", "tcplog"}:
        is_clf = "clf" in rest[1:]
        section.log_format = ("clf" if name == "httplog" else "tcpclf") if is_clf else name
    elif is_no:
        section.options.discard(name)
    else:
        section.options.add(name)


def _capture(section: Section, rest: list[str], _: bool) -> None:
    """Read `capture request|response header NAME len N`."""
    if len(rest) > 2 and rest[1] == "header":  # noqa: PLR2004 -- direction, header, name
        is_request = rest[0] == "request"
        slots = section.request_captures if is_request else section.response_captures
        slots.append(f"{'req' if is_request else 'res'}.hdr({rest[2].lower()})")


def _declare(section: Section, rest: list[str], _: bool) -> None:
    """Read `declare capture request|response len N`."""
    if rest[0] == "capture" and len(rest) > 1:
        (section.request_captures if rest[1] == "request" else section.response_captures).append("")


def _request_rule(section: Section, rest: list[str], _: bool) -> None:
    _rule(section, rest, section.request_captures, is_request=True)


def _response_rule(section: Section, rest: list[str], _: bool) -> None:
    _rule(section, rest, section.response_captures, is_request=False)


def _content_rule(section: Section, rest: list[str], is_no: bool) -> None:
    if rest[0] == "content" and len(rest) > 1:
        _request_rule(section, rest[1:], is_no)


def _rule(section: Section, rest: list[str], slots: list[str], *, is_request: bool) -> None:
    """Learn what a rule says of an expression: what is captured, kept in a variable, or sent to the gateway."""
    action, arguments = rest[0], rest[1:]
    if action == "capture" and len(arguments) > 2:  # noqa: PLR2004 -- expression, id or len, number
        expression = _resolved(section, arguments[0])
        if arguments[1] == "id" and _SLOT.fullmatch(arguments[2]) and int(arguments[2]) < _MOST_SLOTS:
            slots.extend([""] * (int(arguments[2]) + 1 - len(slots)))
            slots[int(arguments[2])] = expression
        elif arguments[1] == "len":
            slots.append(expression)
    elif (found := _SET_VAR.fullmatch(action)) and arguments:
        name = section.names.get(arguments[0]) or item_of(arguments[0])
        if name == "end_us":  # the time now, kept early
            name = "req_us" if is_request else ""
        if name:
            section.names.setdefault(f"var({found[1]})", name)
    elif is_request and action == "set-header" and len(arguments) > 1:
        expression_found = _ONE_EXPRESSION.fullmatch(arguments[1])
        name = _FORWARDED.get(arguments[0].lower(), "")
        if name:
            section.names[f"header {arguments[0].lower()}"] = name
        if name and expression_found:
            section.names[expression_found[1]] = name


def _resolved(section: Section, expression: str) -> str:
    """Give an expression; of a header that a rule before has set, what the gateway gets and not what came."""
    found = re.fullmatch(r"req\.f?hdr\(([\w-]+)(?:,[^)]*)?\)(.*)", expression, re.IGNORECASE)
    if found and f"header {found[1].lower()}" in section.names:
        return next(
            (known for known, name in section.names.items()
             if name == section.names[f"header {found[1].lower()}"] and not known.startswith("header ")),
            expression,
        ) + found[2]  # fmt: skip
    return expression


def _unique_id_header(section: Section, _: list[str], __: bool) -> None:
    section.options.add("unique-id-header")


def _server(section: Section, rest: list[str], _: bool) -> None:
    section.server = section.server or (rest[1] if len(rest) > 1 else "")


def _ring_format(section: Section, rest: list[str], _: bool) -> None:
    section.format = rest[0]


def _ring_length(section: Section, rest: list[str], _: bool) -> None:
    section.length = int(rest[0]) if rest[0].isdecimal() else section.length


_ACTS: dict[str, Callable[[Section, list[str], bool], None]] = {
    "log": _log,
    "mode": _mode,
    "log-format": _format("log_format"),
    "error-log-format": _format("error_log_format"),
    "log-format-sd": _format("log_format_sd"),
    "option": _option,
    "capture": _capture,
    "declare": _declare,
    "http-request": _request_rule,
    "http-response": _response_rule,
    "http-after-response": _response_rule,
    "tcp-request": _content_rule,
    "unique-id-header": _unique_id_header,
    "server": _server,
    "format": _ring_format,
    "maxlen": _ring_length,
}
