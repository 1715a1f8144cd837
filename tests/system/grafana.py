"""What Grafana and its ClickHouse data source make of a panel's SQL: variables first, then macros.

After the documented behaviour of `grafana-clickhouse-datasource` 4.20; only what our dashboards use, and anything
else is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

Chosen = Mapping[str, str | Sequence[str]]
"""The values of the dashboard's variables; `["$__all"]` is All."""

_VARIABLE = re.compile(r"\$\{(?P<braced>\w+)(?::(?P<form>\w+))?\}|\$(?P<plain>(?!__)\w+)")
_MACRO = re.compile(r"\$__(\w+)")


def expand(sql: str, chosen: Chosen, since: datetime, until: datetime, step_s: int = 15) -> str:
    """Give the SQL that reaches ClickHouse.

    Raises:
        KeyError: A variable or a macro that nobody defined.
    """
    return _macros(_variables(_conditional_all(sql, chosen), chosen), since, until, step_s)


def _conditional_all(sql: str, chosen: Chosen) -> str:
    """Leave out conditions on variables of which all are chosen."""
    name = "$__conditionalAll"
    while (start := sql.rfind(name)) >= 0:
        (condition, asked), end = _arguments(sql, start + len(name))
        variable = _VARIABLE.fullmatch(asked.strip())
        assert variable, f"the second argument is a variable, not {asked}"
        assert variable["plain"], f"a bare one, not {asked}"
        is_all = chosen[variable["plain"]] in ("", "$__all", ["$__all"], [])
        sql = sql[:start] + ("1=1" if is_all else condition) + sql[end:]
    return sql


def _variables(sql: str, chosen: Chosen) -> str:
    def value(found: re.Match[str]) -> str:
        name = found["braced"] or found["plain"]
        if name.startswith("__"):
            return found[0]
        values = chosen[name]
        listed = [values] if isinstance(values, str) else list(values)
        assert found["form"] == "singlequote", f"{found[0]} is not quoted"
        return ",".join("'" + one.replace("'", "\\'") + "'" for one in listed)

    return _VARIABLE.sub(value, sql)


def _macros(sql: str, since: datetime, until: datetime, step_s: int) -> str:
    since_s, until_s = int(since.timestamp()), int(until.timestamp())
    known: dict[str, Callable[[str], str]] = {
        "fromTime": lambda _: f"toDateTime({since_s})",
        "toTime": lambda _: f"toDateTime({until_s})",
        "interval_s": lambda _: str(step_s),
        "timeFilter_ms": lambda of: (
            f"{of} >= fromUnixTimestamp64Milli({since_s * 1000}) "
            f"AND {of} <= fromUnixTimestamp64Milli({until_s * 1000})"
        ),
        "timeInterval": lambda of: f"toStartOfInterval(toDateTime({of}), INTERVAL {step_s} second)",
    }
    while found := _MACRO.search(sql):
        takes = found[1] in ("timeFilter_ms", "timeInterval")
        arguments, end = _arguments(sql, found.end()) if takes else ([""], found.end())
        sql = sql[: found.start()] + known[found[1]](arguments[0]) + sql[end:]
    return sql


def _arguments(sql: str, opening: int) -> tuple[list[str], int]:
    """Split what stands in a macro's parentheses at its commas; gives the place behind them, too."""
    assert sql[opening] == "(", sql[opening:]
    depth, quote, parts = 0, "", [""]
    for place in range(opening, len(sql)):
        sign = sql[place]
        if quote:
            quote = "" if sign == quote and sql[place - 1] != "\\" else quote
        elif sign in "'\"`":
            quote = sign
        elif sign in "()":
            depth += 1 if sign == "(" else -1
            if not depth:
                return parts, place + 1
            if sign == "(" and depth == 1:
                continue
        elif sign == "," and depth == 1:
            parts.append("")
            continue
        parts[-1] += sign
    raise AssertionError(f"no closing parenthesis: {sql[opening:]}")
