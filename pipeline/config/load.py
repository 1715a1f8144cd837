"""How the configuration is read: file, variables, options."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from pipeline.config.otlp_environment import fill_from_environment
from pipeline.config.tree import Config
from pipeline.errors import ConfigError

_PREFIX = "HOPTRAIL_"
_CONFIG_FILE = "HOPTRAIL_CONFIG"
"""Names the YAML file; read by the command line."""
_INJECTED = re.compile(r"HOPTRAIL_(SERVICE_|PORT($|_)|.*_(SERVICE|PORT)_)")
"""Kubernetes puts such variables into every pod beside a Service called `hoptrail`."""


def load_config(
    file: Path | None, options: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Read the configuration once.

    Args:
        file: YAML file, or None.
        options: Dotted keys set on the command line, such as `{"join.window_s": 5}`; None values are unset.
        environ: Variables to look through, OpenTelemetry's own among them; the process's own unless told.

    Raises:
        ConfigError: Names each field that is wrong and what to do.
    """
    tree = _read_yaml(file) if file else {}
    environ = os.environ if environ is None else environ
    for path, text in _from_environment(environ).items():
        _put(tree, path, yaml.safe_load(text) if text else text)
    for dotted, value in (options or {}).items():
        if value is not None:
            _put(tree, tuple(dotted.split(".")), value)
    otlp = tree.get("otlp") or {}
    if isinstance(otlp, dict):
        fill_from_environment(otlp, environ)
        tree["otlp"] = otlp
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_in_words(error)) from error


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: the top of the file must be a mapping of sections")
    return tree


def _from_environment(environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Find our variables; those that Kubernetes injects are not ours."""
    found = {}
    for name, text in environ.items():
        if name.startswith(_PREFIX) and name != _CONFIG_FILE and not _INJECTED.match(name):
            path = tuple(name.removeprefix(_PREFIX).lower().split("__"))
            if not _is_setting(path):
                raise ConfigError(f"{name}: there is no such setting; see docs/configuration.md")
            found[path] = text
    return found


def _is_setting(path: tuple[str, ...]) -> bool:
    """Whether a path leads to a field; a section that may be None (`tls`) counts with its fields."""
    model: object = Config
    for name in path:
        fields = getattr(model, "model_fields", {})
        if name not in fields:
            return False
        kind = fields[name].annotation
        model = next((part for part in (*get_args(kind), kind) if hasattr(part, "model_fields")), None)
    return True


def _put(tree: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    *sections, key = path
    for section in sections:
        inner = tree.get(section)
        if not isinstance(inner, dict):
            inner = tree[section] = {}
        tree = inner
    tree[key] = value


def _in_words(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        field = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{field}: there is no such setting; see docs/configuration.md")
        else:
            lines.append(f"{field}: {fault['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
