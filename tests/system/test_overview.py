"""The Grafana dashboard Overview: every query of it on the real engine, through the read door."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
OVERVIEW = json.loads((DASHBOARDS / "grafana" / "overview.json").read_text(encoding="utf-8"))
VARIABLES = OVERVIEW["templating"]["list"]
PANELS = OVERVIEW["panels"]
_spec = importlib.util.spec_from_file_location("grafana", Path(__file__).with_name("grafana.py"))
assert _spec
assert _spec.loader
grafana = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(grafana)

EVERYTHING = {
    "service": ["$__all"],
    "route": ["$__all"],
    "consumer": ["$__all"],
    "status_class": ["$__all"],
    "lineage_url": "http://127.0.0.1:8484",
}
HOSTILE = EVERYTHING | {"consumer": ["o'brien", "x') OR 1=1 --"], "route": ["') UNION ALL SELECT 1 --"]}
SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
STEP_S = 60


def _ask(url: str, sql: str) -> tuple[list[dict[str, str]], list[list[Any]]]:
    """Give an answer's columns and rows."""
    parameters = {"database": "hoptrail", "default_format": "JSONCompact"}
    answer = httpx.post(f"{url}/", params=parameters, content=sql, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return document["meta"], document["data"]


def _expanded(panel: dict[str, Any], chosen: dict[str, Any]) -> str:
    return str(grafana.expand(panel["targets"][0]["rawSql"], chosen, SINCE, UNTIL, STEP_S))


def _rows(url: str, title: str, chosen: dict[str, Any] | None = None) -> list[list[Any]]:
    panel = next(one for one in PANELS if one["title"] == title)
    return _ask(url, _expanded(panel, chosen or EVERYTHING))[1]


@pytest.fixture(scope="module")
def data_dir(
    tmp_path_factory: pytest.TempPathFactory, haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> Path:
    """Replay the corpus, some of the gateway's entries lost, into the embedded store of a data directory."""
    folder = tmp_path_factory.mktemp("overview")
    (folder / "edge.log").write_bytes(b"\n".join(haproxy_lines) + b"\n")
    (folder / "kong.jsonl").write_bytes(b"\n".join(kong_bodies[:-40]) + b"\n")
    (folder / "data").mkdir(mode=0o700)
    words = [
        "replay",
        "--haproxy",
        "edge.log",
        "--kong",
        "kong.jsonl",
        "--store",
        f"chdb://{folder}/data/store",
    ]
    subprocess.run([sys.executable, "-m", "pipeline", *words], cwd=folder, check=True, capture_output=True)
    return folder / "data"


@pytest.fixture
def full(serve: Callable[..., Any], data_dir: Path) -> str:
    """Give the read door's address over the corpus."""
    return str(serve(data_dir=data_dir).addresses["read_url"])


def test_the_file_is_what_its_source_makes() -> None:
    made = subprocess.run(
        [sys.executable, DASHBOARDS / "overview.py", "-"], capture_output=True, text=True, check=True
    )
    assert made.stdout == (DASHBOARDS / "grafana" / "overview.json").read_text(encoding="utf-8")


def test_every_query_and_variable_is_answered_in_the_shape_that_its_panel_draws(full: str) -> None:
    for panel in PANELS:
        columns, rows = _ask(full, _expanded(panel, EVERYTHING))
        assert rows, panel["title"]
        if panel["type"] == "timeseries":
            assert columns[0]["name"] == "time"
            assert columns[0]["type"].startswith("DateTime")
            assert columns[-1]["type"].removeprefix("Nullable(").startswith(("Float", "UInt", "Int"))
            assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        if panel["type"] == "stat":
            assert len(rows) == len(columns) == 1
            assert isinstance(rows[0][0], int | float), (panel["title"], rows)
    for variable in VARIABLES:
        if variable["type"] == "query":
            _, rows = _ask(full, grafana.expand(variable["query"]["rawSql"], {}, SINCE, UNTIL))
            assert rows, variable["name"]


def test_the_figures_are_those_that_the_clients_saw(full: str, truth: list[dict[str, Any]]) -> None:
    classes: Counter[str] = Counter()
    for _, name, rate in _rows(full, "Rate by status"):
        classes[name] += round(rate * STEP_S)
    assert classes == Counter(f"{one['status'][0]}xx" for one in truth)
    ((share,),) = _rows(full, "Errors")
    assert share == pytest.approx(sum(one["status"] >= "500" for one in truth) / len(truth))
    assert sum(round(row[2] * STEP_S) for row in _rows(full, "Outcome")) == len(truth)
    assert sum(row[2] for row in _rows(full, "Routes")) == len(truth)
    assert sum(row[2] for row in _rows(full, "Consumers")) == len(truth)
    assert len(_rows(full, "Requests")) == 200


def test_what_is_chosen_narrows_every_panel(full: str) -> None:
    only = _rows(full, "Routes")[0][0]
    assert [row[0] for row in _rows(full, "Routes", EVERYTHING | {"route": [only]})] == [only]
    kinds = {row[1] for row in _rows(full, "Rate by status", EVERYTHING | {"status_class": ["4", "5"]})}
    assert kinds == {"4xx", "5xx"}


def test_hostile_choices_stay_values(full: str) -> None:
    for panel in PANELS:
        _, rows = _ask(full, _expanded(panel, HOSTILE))
        assert panel["type"] == "stat" or rows == [], panel["title"]


def test_every_query_is_answered_on_an_empty_store(serve: Callable[..., Any]) -> None:
    url = serve().addresses["read_url"]
    for panel in PANELS:
        _, rows = _ask(url, _expanded(panel, EVERYTHING))
        assert rows in ([], [[None]], [[0]]), panel["title"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panels_are_well_formed(panel: dict[str, Any]) -> None:
    (target,) = panel["targets"]
    sql = target["rawSql"]
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == target["datasource"] == OVERVIEW_SOURCE
    assert {"timeseries": 0, "table": 1}[target["queryType"]] == target["format"]
    assert "$__timeFilter_ms(start_time)" in sql
    assert panel["type"] != "table" or "LIMIT" in sql
    known = {variable["name"] for variable in VARIABLES}
    assert set(re.findall(r"\$\{?((?!__)\w+)", sql)) <= known


OVERVIEW_SOURCE = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}


def test_panels_share_the_grid_without_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len({panel["title"] for panel in PANELS}) == len(PANELS)
    boxes = [panel["gridPos"] for panel in PANELS]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    for one, other in combinations(boxes, 2):
        is_apart_across = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_apart_down = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_apart_across or is_apart_down, (one, other)


def test_a_request_links_to_its_lineage() -> None:
    overrides = next(panel for panel in PANELS if panel["title"] == "Requests")["fieldConfig"]["overrides"]
    links = [part["value"] for one in overrides for part in one["properties"] if part["id"] == "links"]
    assert [link["url"] for (link,) in links] == ["${lineage_url}/r/${__value.raw}"]


def test_provisioning_names_the_data_source_and_no_password() -> None:
    (source,) = yaml.safe_load(
        (DASHBOARDS / "provisioning" / "datasources" / "hoptrail.yaml").read_text(encoding="utf-8")
    )["datasources"]
    assert source["type"] == OVERVIEW_SOURCE["type"]
    assert source["secureJsonData"]["password"].startswith("$")
    assert source["jsonData"]["defaultDatabase"] == "hoptrail"
    (provider,) = yaml.safe_load(
        (DASHBOARDS / "provisioning" / "dashboards" / "hoptrail.yaml").read_text(encoding="utf-8")
    )["providers"]
    assert provider["type"] == "file"
