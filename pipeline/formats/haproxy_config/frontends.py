"""From what a configuration says to the formats that read its lines."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import ConfigError
from pipeline.formats.haproxy_config.sections import Frontend, HaproxyConfig
from pipeline.formats.line_formats import LineFormat
from pipeline.formats.log_format import Captures, Format, compile_format
from pipeline.formats.log_format.items import TOLD_APART

_ERROR_STEPS = {"error"}


def line_formats(config: HaproxyConfig) -> list[LineFormat]:
    """Compile the formats of every frontend; those that are known by themselves need none.

    Raises:
        ConfigError: A format cannot be read; names the frontend.
    """
    formats: list[LineFormat] = []
    for frontend in config.frontends:
        try:
            formats += _of_frontend(frontend)
        except ConfigError as error:
            raise ConfigError(f"haproxy_config: frontend {frontend.name}: {error}") from error
    return _distinct(formats)


def _of_frontend(frontend: Frontend) -> list[LineFormat]:
    captures = Captures(frontend.request_captures, frontend.response_captures)
    structured = None
    if frontend.log_format_sd:
        structured = compile_format(frontend.log_format_sd, captures=captures, names=frontend_names(frontend))

    def line_format(text: str, *, is_error: bool) -> LineFormat:
        compiled = compile_format(text, captures=captures, names=frontend_names(frontend))
        return LineFormat(compiled, frontend.name, is_error, structured)

    found: list[LineFormat] = []
    if frontend.log_format not in TOLD_APART or (
        frontend.log_format in _WITH_CAPTURES and _is_rich(frontend)
    ):
        found.append(line_format(frontend.log_format, is_error=False))
    if frontend.error_log_format:
        found.append(line_format(frontend.error_log_format, is_error=True))
    found += [line_format(text, is_error=step in _ERROR_STEPS) for step, text in frontend.profiles]
    return found


_WITH_CAPTURES = {"httplog", "httpslog", "clf"}


def _is_rich(frontend: Frontend) -> bool:
    """Whether captures or structured data give a built-in format more than its lines say by themselves."""
    return bool(frontend.request_captures or frontend.response_captures or frontend.log_format_sd)


def frontend_names(frontend: Frontend) -> dict[str, str]:
    """Give the names of expressions that a frontend's rules tell."""
    return {known: name for known, name in frontend.names.items() if not known.startswith("header ")}


def _distinct(formats: Sequence[LineFormat]) -> list[LineFormat]:
    """Drop the repetitions of a format that frontends inherit, unless their captures differ."""
    kept: dict[tuple[str, bool, str, tuple[str, ...], object], LineFormat] = {}
    for item in formats:
        key = (
            item.compiled.text,
            item.is_error,
            _text(item.structured),
            item.compiled.keys,
            item.compiled.captures,
        )
        known = kept.get(key)
        kept[key] = item if known is None else known._replace(frontend="")
    return list(kept.values())


def _text(compiled: Format | None) -> str:
    return compiled.text if compiled else ""
