"""The dashboard Overview: is it well, where does the time go, whose fault is it, and which requests were they.

`python dashboards/overview.py` writes `grafana/overview.json` from this; a test says when the two differ.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from panels import Json, column, laid_out, series, stat, table, variable

FILE = Path(__file__).parent / "grafana" / "overview.json"

_PERIOD = "$__timeFilter_ms(start_time) AND bucket BETWEEN $__fromTime - 90000 AND $__toTime + 90000"
"""A row's bucket lies within a day and an hour of its start; by it ClickHouse leaves out whole days."""
_CHOSEN = """$__conditionalAll(service IN (${service:singlequote}), $service)
  AND $__conditionalAll(route IN (${route:singlequote}), $route)
  AND $__conditionalAll(`identity.consumer_name` IN (${consumer:singlequote}), $consumer)
  AND $__conditionalAll(toString(intDiv(status, 100)) IN (${status_class:singlequote}), $status_class)"""
_CLOSED = f"FROM lineage\nWHERE {_PERIOD}\n  AND final AND {_CHOSEN}"
"""Finished lineages alone: the last minute would else show halves as if their other side were lost."""
_ALL = f"FROM lineage\nWHERE {_PERIOD}\n  AND {_CHOSEN}"
_TIME = "$__timeInterval(start_time) AS time"


def _over_time(group: str, value: str, where: str = "") -> str:
    """Write a question for one value by time, in several lines where a group is told."""
    by = f", {group}" if group else ""
    names = ", " + group.rsplit(" AS ", 1)[-1] if group else ""
    return f"SELECT {_TIME}{by}, {value}\n{_CLOSED}{where}\nGROUP BY time{names}\nORDER BY time{names}"


_BY_CLASS = "concat(toString(intDiv(status, 100)), 'xx') AS class"
_HOPS = """SELECT $__timeInterval(start_time) AS time, part.1 AS hop, quantile(0.95)(part.2) AS p95
FROM
(
  SELECT start_time, arrayJoin([
    ('client: sends its request, takes the answer', toFloat64(`edge.timers.TR` + `edge.timers.Td`)),
    ('edge: queue and connection', toFloat64(`edge.timers.Tw` + `edge.timers.Tc`)),
    ('gateway', toFloat64(arrayElementOrNull(`attempts.latencies.kong`, -1))),
    ('upstream', toFloat64(arrayElementOrNull(`attempts.latencies.proxy`, -1)))]) AS part
  """ + _CLOSED.replace("\n", "\n  ") + """
)
WHERE part.2 IS NOT NULL
GROUP BY time, hop
ORDER BY time, hop"""  # fmt: skip

_ROUTES = f"""SELECT route, any(service) AS service, count() AS requests,
  countIf(status >= 500) / count() AS error_share, quantile(0.5)(duration_ms) AS p50_ms,
  quantile(0.99)(duration_ms) AS p99_ms
{_CLOSED}
GROUP BY route
ORDER BY requests DESC
LIMIT 20"""
_CONSUMERS = f"""SELECT `identity.consumer_name` AS consumer, any(`identity.kind`) AS kind, count() AS requests,
  countIf(status IN (401, 403)) AS refused, countIf(status = 429) AS over_limit,
  countIf(status >= 500) AS errors
{_CLOSED}
GROUP BY consumer
ORDER BY requests DESC
LIMIT 20"""
_REQUESTS = f"""SELECT start_time, request_id, method, host, path, status, duration_ms, route,
  `identity.consumer_name` AS consumer, outcome, missing, `verdict.domain` AS fault, `verdict.text` AS verdict
{_ALL}
ORDER BY start_time DESC
LIMIT 200"""


def _choices(column_name: str) -> str:
    """Write the question for the values of a drop-down."""
    return (
        f"SELECT DISTINCT {column_name} FROM lineage WHERE {_PERIOD} AND {column_name} != '' "  # noqa: S608 -- ours
        f"ORDER BY {column_name} LIMIT 500"
    )


def _panels() -> list[Json]:
    numbers = [
        (6, stat("Request rate", "Finished requests a second over the whole period.",
                 f"SELECT count() / greatest(dateDiff('second', $__fromTime, $__toTime), 1) AS rate\n{_CLOSED}",
                 unit="reqps")),
        (6, stat("Errors", "Share of requests that the client saw fail with 5xx.",
                 f"SELECT countIf(status >= 500) / nullIf(count(), 0) AS error_share\n{_CLOSED}",
                 unit="percentunit", bad_from=0.01)),
        (6, stat("99th percentile", "Whole request at the edge, from its first byte to the last of the answer.",
                 f"SELECT if(count() = 0, NULL, quantile(0.99)(duration_ms)) AS p99_ms\n{_CLOSED}", unit="ms")),
        (6, stat("Without a half", "Share of requests of which a half is missing that was expected.",
                 "SELECT countIf(missing IN ('edge_log_lost', 'gateway_log_lost', 'evicted')) / nullIf(count(), 0)"
                 f" AS lost_share\n{_CLOSED}", unit="percentunit", bad_from=0.001)),
    ]  # fmt: skip
    return laid_out([
        (4, numbers),
        (8, [(12, series("Rate by status", "Requests a second, by the class of the status that the client got.",
                         _over_time(_BY_CLASS, "count() / $__interval_s AS rate"), unit="reqps", is_stacked=True)),
             (12, series("Whose fault", "Requests a second that did not go well, by who ended them.",
                         _over_time("`verdict.domain` AS fault", "count() / $__interval_s AS rate",
                                    " AND fault != 'ok'"), unit="reqps", is_stacked=True))]),
        (8, [(12, series("Duration", "Whole request at the edge.",
                         _over_time("", "quantile(0.5)(duration_ms) AS p50, quantile(0.95)(duration_ms) AS p95, "
                                    "quantile(0.99)(duration_ms) AS p99"), unit="ms")),
             (12, series("Duration by hop", "95th percentile of the time at each hop; what was never reached counts "
                         "nowhere.", _HOPS, unit="ms"))]),
        (8, [(12, series("Outcome", "Requests a second by which halves were found.",
                         _over_time("outcome", "count() / $__interval_s AS rate"), unit="reqps", is_stacked=True)),
             (12, series("Missing halves", "Requests a second with one half, by the reason.",
                         _over_time("missing", "count() / $__interval_s AS rate", " AND missing != ''"),
                         unit="reqps", is_stacked=True))]),
        (9, [(12, table("Routes", "Busiest routes of the period.", _ROUTES,
                        overrides=[column("error_share", unit="percentunit"), column("p50_ms", unit="ms"),
                                   column("p99_ms", unit="ms")])),
             (12, table("Consumers", "Who asked most, and how often in vain; an empty name is nobody proven.",
                        _CONSUMERS))]),
        (14, [(24, table("Requests", "The newest 200; the id leads to the whole lineage.", _REQUESTS,
                         overrides=[column("request_id", links=[_TO_LINEAGE], custom_width=320),
                                    column("duration_ms", unit="ms")]))]),
    ])  # fmt: skip


_TO_LINEAGE = {
    "title": "Lineage of this request",
    "url": "${lineage_url}/r/${__value.raw}",
    "targetBlank": True,
}


def dashboard() -> Json:
    """Give the dashboard as Grafana imports and provisions it."""
    variables: list[Json] = [
        {
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": SOURCE_TYPE,
            "refresh": 1,
        },
        variable("service", "Service", _choices("service")),
        variable("route", "Route", _choices("route")),
        variable("consumer", "Consumer", _choices("`identity.consumer_name`")),
        {
            "type": "custom",
            "name": "status_class",
            "label": "Status",
            "query": "2xx : 2, 3xx : 3, 4xx : 4, 5xx : 5, none : 0",
            "multi": True,
            "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        },
        {
            "type": "textbox",
            "name": "lineage_url",
            "label": "Hoptrail page",
            "query": "http://127.0.0.1:8484",
            "current": {"text": "http://127.0.0.1:8484", "value": "http://127.0.0.1:8484"},
        },
    ]
    return {
        "uid": "hoptrail-overview",
        "title": "Hoptrail: Overview",
        "description": "One lineage record per request, joined from HAProxy and Kong logs.",
        "tags": ["hoptrail", "haproxy", "kong"],
        "schemaVersion": 41,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "browser",
        "templating": {"list": variables},
        "annotations": {"list": []},
        "links": [],
        "panels": _panels(),
    }


SOURCE_TYPE = "grafana-clickhouse-datasource"


def as_text() -> str:
    """Give the file's text."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(as_text())
    else:
        FILE.write_text(as_text(), encoding="utf-8")
