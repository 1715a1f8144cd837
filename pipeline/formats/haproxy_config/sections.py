"""Reads the sections of a `haproxy.cfg`: formats, captures and log targets, inherited from `defaults`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pipeline.errors import ConfigError
from pipeline.formats.haproxy_config.conditions import Circumstances, holds
from pipeline.formats.haproxy_config.directives import Profile, Section, obey
from pipeline.formats.haproxy_config.log_target import LogTarget
from pipeline.formats.haproxy_words import split_words
from pipeline.formats.log_format.items import BUILT_IN

__all__ = ["Frontend", "HaproxyConfig", "LogTarget", "read_haproxy_config"]

_PREDEFINED = {
    "HAPROXY_HTTP_LOG_FMT": BUILT_IN["httplog"],
    "HAPROXY_HTTPS_LOG_FMT": BUILT_IN["httpslog"],
    "HAPROXY_HTTP_CLF_LOG_FMT": BUILT_IN["clf"],
    "HAPROXY_TCP_LOG_FMT": BUILT_IN["tcplog"],
    "HAPROXY_TCP_CLF_LOG_FMT": BUILT_IN["tcpclf"],
}
_SECTIONS = re.compile(
    r"global|defaults|frontend|listen|backend|ring|log-profile|log-forward|userlist|peers|resolvers|cache|mailers|"
    r"program|http-errors|fcgi-app|crt-store|crt-list|traces|acme|namespace_list|aggregations|dynamic-update"
)
_SHORT = 1024
"""Bytes of the default `len`."""


class Frontend(NamedTuple):
    """A section that logs: `frontend`, or `listen`."""

    name: str
    mode: str
    log_format: str
    """The string, a name of `BUILT_IN`, or empty: HAProxy's default line."""
    error_log_format: str
    log_format_sd: str
    targets: tuple[LogTarget, ...]
    request_captures: tuple[str, ...]
    """Expression of each slot of `capture.req.hdr(N)`, empty where nothing is captured into it."""
    response_captures: tuple[str, ...]
    names: Mapping[str, str]
    """Expressions that this frontend's rules say the meaning of: what it forwards as `X-Request-ID`, …"""
    options: frozenset[str]
    profiles: tuple[tuple[str, str], ...]
    """Step and format of the `log-profile`s of its targets."""
    notes: tuple[str, ...]


class HaproxyConfig(NamedTuple):
    """What a file says."""

    frontends: tuple[Frontend, ...]


@dataclass
class _File:
    """A file being read."""

    environ: dict[str, str]
    version: str
    defaults: Section = field(default_factory=Section)
    """The last `defaults`, which sections without `from` inherit."""
    named: dict[str, Section] = field(default_factory=dict)
    overall: Section = field(default_factory=Section)
    frontends: dict[str, Section] = field(default_factory=dict)
    rings: dict[str, Section] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    current: Section | Profile | None = None
    blocks: list[tuple[bool, bool]] = field(default_factory=list)
    """Of each open `.if`: whether the lines here count, and whether a branch has counted already."""


def read_haproxy_config(text: str, environ: Mapping[str, str], *, version: str = "2.6") -> HaproxyConfig:
    """Read a configuration.

    Args:
        text: All of its files, one behind another.
        environ: HAProxy's environment, as far as it matters; `setenv` and `presetenv` of the file are obeyed.
        version: For `.if version_atleast(…)`.

    Raises:
        ConfigError: A line cannot be understood; names it.
    """
    file = _File({**_PREDEFINED, **environ}, version)
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = split_words(line, file.environ)
            if words:
                _obey(words, file)
        except ConfigError as error:
            raise ConfigError(f"haproxy_config: line {number}: {error}") from error
    return HaproxyConfig(tuple(_frontend(name, section, file) for name, section in file.frontends.items()))


def _obey(words: list[str], file: _File) -> None:
    if words[0].startswith("."):
        _branch(words, file)
    elif file.blocks and not all(counts for counts, _ in file.blocks):
        return
    elif _SECTIONS.fullmatch(words[0]):
        file.current = _open(words, file)
    elif file.current is file.overall and words[0] in {"setenv", "presetenv", "unsetenv"}:
        _set_variable(words, file.environ)
    elif file.current is not None:
        obey(words, file.current)


def _branch(words: list[str], file: _File) -> None:
    """Follow `.if`, `.elif`, `.else`, `.endif`; messages (`.notice`, …) are passed over."""
    directive, condition = words[0], " ".join(words[1:])
    if directive not in {".if", ".elif", ".else", ".endif"}:
        return
    if directive == ".if":
        counts = all(outer for outer, _ in file.blocks) and holds(
            condition, Circumstances(file.environ, file.version)
        )
        file.blocks.append((counts, counts))
        return
    if not file.blocks:
        raise ConfigError(f"{directive} without .if")
    _, had = file.blocks.pop()
    if directive == ".endif":
        return
    wanted = directive == ".else" or (not had and holds(condition, Circumstances(file.environ, file.version)))
    counts = wanted and not had
    file.blocks.append((counts, had or counts))


def _set_variable(words: list[str], environ: dict[str, str]) -> None:
    if words[0] == "unsetenv":
        for name in words[1:]:
            environ.pop(name, None)
    elif len(words) > 2 and (words[0] == "setenv" or words[1] not in environ):  # noqa: PLR2004 -- setenv NAME VALUE
        environ[words[1]] = words[2]


def _open(words: list[str], file: _File) -> Section | Profile | None:
    kind, name = words[0], words[1] if len(words) > 1 else ""
    parent = words[words.index("from") + 1] if "from" in words[1:-1] else ""
    if kind == "global":
        return file.overall
    if kind == "log-profile":
        return file.profiles.setdefault(name, Profile())
    if kind == "ring":
        return file.rings.setdefault(name, Section())
    if kind == "defaults":
        file.defaults = file.named[parent].copy() if parent in file.named else Section()
        if name and name != "from":
            file.named[name] = file.defaults
        return file.defaults
    if kind in {"frontend", "listen"}:
        inherited = file.named.get(parent, file.defaults if not parent else Section())
        section = file.frontends[name] = inherited.copy()
        return section
    return Section() if kind == "backend" else None


def _frontend(name: str, section: Section, file: _File) -> Frontend:
    targets = [
        own for target in section.targets for own in (file.overall.targets if target.is_global else [target])
    ]
    resolved = [_through_ring(target, file) for target in targets]
    formats = [file.profiles[target.profile].formats for target in targets if target.profile in file.profiles]
    log_format = section.log_format
    if section.mode == "tcp" and log_format in {"httplog", "httpslog", "clf"}:
        log_format = "tcpclf" if log_format == "clf" else "tcplog"  # as HAProxy falls back, with a warning
    frontend = Frontend(
        name=name,
        mode=section.mode,
        log_format=log_format,
        error_log_format=section.error_log_format,
        log_format_sd=section.log_format_sd,
        targets=tuple(resolved),
        request_captures=tuple(section.request_captures),
        response_captures=tuple(section.response_captures),
        names=section.names,
        options=frozenset(section.options),
        profiles=tuple(dict.fromkeys((step, text) for steps in formats for step, text in steps.items())),
        notes=(),
    )
    return frontend._replace(notes=tuple(_notes(frontend)))


def _through_ring(target: LogTarget, file: _File) -> LogTarget:
    """Give where a ring sends its lines: format and length are the ring's own (manual 3.9)."""
    ring = (
        file.rings.get(target.address.removeprefix("ring@")) if target.address.startswith("ring@") else None
    )
    if ring is None:
        return target
    return replace(
        target,
        address=f"{target.address} to {ring.server}",
        format=ring.format,
        length=min(target.length, ring.length),
    )


def _notes(frontend: Frontend) -> list[str]:
    """Say what of its settings loses lines or makes them hard to read."""
    notes = []
    is_json = frontend.log_format.lstrip().startswith("{")
    if not frontend.targets:
        notes.append("logs nowhere: there is no `log` line, here or in its defaults")
    for target in frontend.targets:
        if target.length <= _SHORT and (is_json or "%{+json}" in frontend.log_format):
            notes.append(
                f"log {target.address}: lines are cut at len {target.length}, header included; JSON wants len 16000"
            )
        if target.address.startswith("ring@"):
            notes.append(f"log {target.address}: HAProxy loses the lines of running requests on every reload")
        if target.sample:
            notes.append(f"log {target.address}: only a sample of the lines is sent")
    if "dontlog-normal" in frontend.options:
        notes.append(
            "option dontlog-normal: successful requests are not logged; their lineages lack the edge"
        )
    if frontend.log_format and not frontend.error_log_format and is_json:
        notes.append("no error-log-format: TLS and PROXY failures are logged as plain sentences, not as JSON")
    if "unique-id-header" in frontend.options:
        notes.append(
            "unique-id-header adds to what a client sent: use del-header and set-header X-Request-ID %[unique-id]"
        )
    return notes
