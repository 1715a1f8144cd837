"""What the operator may set and may watch is documented, all of it and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from pipeline.config import Config
from pipeline.join.expect import MISSING
from pipeline.telemetry import METRICS

ROOT = Path(__file__).resolve().parents[2]


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kinds = (*get_args(field.annotation), field.annotation)
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        is_list = isinstance(field.default, tuple)
        if not sections or is_list or field.default is None:
            yield prefix + name
        for section in sections:
            yield from _settings(section, f"{prefix}{name}{'[]' if is_list else ''}.")


def _first_cells(file: str) -> list[str]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_every_setting_is_documented_and_no_other() -> None:
    assert sorted(_first_cells("docs/configuration.md")) == sorted(_settings(Config))


def test_every_metric_is_documented_and_no_other() -> None:
    names = [metric.name + ("_total" if metric.kind == "counter" else "") for metric in METRICS]
    documented = [name for name in _first_cells("docs/operations.md") if name.startswith("hoptrail_")]
    assert sorted(documented) == sorted(names)


def test_every_reason_for_a_missing_half_is_documented() -> None:
    assert sorted(_first_cells("docs/lineage.md")) == sorted(MISSING)


def test_the_readme_names_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
