"""Parts of a Grafana dashboard (classic model, schema version 41) as plain dictionaries.

Made for the official ClickHouse data source (`grafana-clickhouse-datasource`, 4.15 or newer, Grafana 11.6 or
newer). `queryType` and `format` say the same thing twice, because Explore reads the one and the backend the other.
"""

from __future__ import annotations

from typing import Any, Literal

Json = dict[str, Any]
SOURCE: Json = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
_FORMATS = {"timeseries": 0, "table": 1}


def target(sql: str, kind: Literal["timeseries", "table"]) -> Json:
    """Give a query of a panel."""
    return {
        "refId": "A",
        "datasource": SOURCE,
        "editorType": "sql",
        "pluginVersion": "4.20.0",
        "queryType": kind,
        "format": _FORMATS[kind],
        "rawSql": sql,
    }


def stat(title: str, what: str, sql: str, *, unit: str, bad_from: float | None = None) -> Json:
    """Give one number; red from a value on, where one is told."""
    steps: list[Json] = [{"color": "green", "value": None}]
    if bad_from is not None:
        steps.append({"color": "red", "value": bad_from})
    options = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    defaults = {"unit": unit, "noValue": "no data", "thresholds": {"mode": "absolute", "steps": steps}}
    return _panel("stat", title, what, target(sql, "table"), options=options, defaults=defaults)


def series(title: str, what: str, sql: str, *, unit: str, is_stacked: bool = False) -> Json:
    """Give lines over time, or bars that stand on each other."""
    custom = {
        "drawStyle": "bars" if is_stacked else "line",
        "lineWidth": 1,
        "fillOpacity": 70 if is_stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if is_stacked else "none", "group": "A"},
    }
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "right",
            "showLegend": True,
            "calcs": ["mean", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    defaults = {"unit": unit, "min": 0, "custom": custom}
    return _panel("timeseries", title, what, target(sql, "timeseries"), options=options, defaults=defaults)


def table(title: str, what: str, sql: str, *, overrides: list[Json] | None = None) -> Json:
    """Give rows and columns."""
    options = {"showHeader": True, "cellHeight": "sm"}
    panel = _panel("table", title, what, target(sql, "table"), options=options, defaults={"unit": "short"})
    panel["fieldConfig"]["overrides"] = overrides or []
    return panel


def column(name: str, **properties: object) -> Json:
    """Say how one column of a table is shown; `custom_width` stands for `custom.width`."""
    shown = [{"id": key.replace("custom_", "custom."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": shown}


def variable(name: str, label: str, sql: str) -> Json:
    """Give a drop-down that the store fills, of which several may be chosen."""
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"editorType": "sql", "rawSql": sql, "refId": "variable"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def laid_out(rows: list[tuple[int, list[tuple[int, Json]]]]) -> list[Json]:
    """Place panels: rows of a height, each with panels of a width, of 24 columns in all; ids by place."""
    placed: list[Json] = []
    top = 0
    for height, panels in rows:
        left = 0
        for width, panel in panels:
            grid = {"x": left, "y": top, "w": width, "h": height}
            placed.append({"id": len(placed) + 1, "gridPos": grid, **panel})
            left += width
        top += height
    return placed


def _panel(kind: str, title: str, what: str, query: Json, *, options: Json, defaults: Json) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": what,
        "datasource": SOURCE,
        "targets": [query],
        "options": options,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
