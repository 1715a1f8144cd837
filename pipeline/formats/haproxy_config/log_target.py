"""Reads a `log` line (manual 3.1, 4.2)."""

from __future__ import annotations

from dataclasses import dataclass

_DEFAULT_LENGTH = 1024
_OPTIONS = {"len", "format", "sample", "profile"}


@dataclass(frozen=True)
class LogTarget:
    """Where lines go, and in what envelope."""

    address: str
    format: str = "local"
    """`local`, `rfc3164`, `rfc5424`, `priority`, `short`, `timed`, `iso` or `raw`."""
    length: int = _DEFAULT_LENGTH
    """Bytes after which a line is cut."""
    profile: str = ""
    sample: str = ""
    facility: str = ""
    is_global: bool = False
    """`log global`: the targets of the `global` section."""


def read_log_target(words: list[str]) -> LogTarget:
    """Read the words behind `log`."""
    if words[0] == "global":
        return LogTarget("global", is_global=True)
    options: dict[str, str] = {}
    position = 1
    while position + 1 < len(words) and words[position] in _OPTIONS:
        options[words[position]] = words[position + 1]
        position += 2
    length = options.get("len", "")
    return LogTarget(
        address=words[0],
        format=options.get("format", "local"),
        length=int(length) if length.isdecimal() else _DEFAULT_LENGTH,
        profile=options.get("profile", ""),
        sample=options.get("sample", ""),
        facility=words[position] if position < len(words) else "",
    )
