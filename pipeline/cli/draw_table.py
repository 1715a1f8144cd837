"""PURE: many lineages as a table, a line each; the least telling columns go first where room is short."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.text import Text

from pipeline.cli.draw_words import duration, moment, status_style, verdict_style, who
from pipeline.cli.output import Column, Row
from pipeline.harmless import printable

_ID, _LEAST_ID, _WIDE = 36, 8, 150
_DATE = 11
"""Length of `2026-11-23 `."""


def lineage_columns(documents: Sequence[Row], width: int) -> list[Column]:
    """Give the columns for these documents in so many cells; 0: nobody looks, everything is whole.

    Ids are as short as tells the shown ones apart (8 characters at least) and whole where there is room for
    them; dates are left out where all are of one day.
    """
    days = {str(row["start_time"])[:10] for row in documents}
    one_day = width > 0 and len(days) == 1
    is_whole = width >= _WIDE or not width
    id_width = _ID if is_whole else shortest_telling(_any_id(row) for row in documents)
    first = _DATE if one_day else 0
    return [
        Column(
            f"{min(days)} UTC" if one_day else "time (UTC)",
            lambda row: moment(row["start_time"])[first:][:23],
            14 if one_day else 23,
        ),
        Column("st", _status, 3, right=True),
        Column("method", lambda row: row["method"] or "?", 6, 8),
        Column("path", lambda row: row["path"] or "?", 14, grows=True),
        Column("took", lambda row: duration(row["duration_ms"]), 7, right=True),
        Column("why", _why, 16, 26),
        Column("identity", lambda row: who(row["identity"]) or "-", 12, 20, rank=2),
        Column("service", _service, 10, 20, rank=3),
        Column("client", lambda row: row["client_ip"] or "-", 15, 39, rank=4),
        Column("host", lambda row: row["host"] or "-", 16, 30, rank=5),
        Column("id", _id(id_width), id_width, id_width, rank=1),
    ]


def shortest_telling(ids: Iterable[str]) -> int:
    """Give the length at which prefixes tell ids apart; 8 at least, a whole UUID at most."""
    known = {one for one in ids if one}
    for length in range(_LEAST_ID, _ID):
        if len({one[:length] for one in known}) == len(known):
            return length
    return _ID


def _any_id(row: Row) -> str:
    """Give an id that finds the lineage: the request's, else its gateway's."""
    gateway_ids = [one["gateway_request_id"] for one in row["attempts"] if one["gateway_request_id"]]
    return str(row["request_id"] or (gateway_ids[-1] if gateway_ids else "-"))


def _id(length: int) -> Callable[[Row], str]:
    return lambda row: printable(_any_id(row))[: length if length < _ID else None]


def _status(row: Row) -> Text:
    return Text(str(row["status"] or "-"), style=status_style(row["status"]))


def _why(row: Row) -> Text:
    """Say in a word what is worth knowing: a missing half, a conflict, a verdict; and how many attempts."""
    verdict: dict[str, Any] = row["verdict"]
    if row["match"] == "conflict":
        line = Text().append("conflict", style="bold red")
    elif row["missing"] is not None and verdict["domain"] in {"ok", "unknown"}:
        line = Text().append(row["missing"], style="yellow")
    else:
        style = verdict_style(verdict["domain"]) if verdict["code"] != "ok" else "dim"
        line = Text().append(printable(verdict["code"], 40), style=style)
    if len(row["attempts"]) > 1:
        line.append(f" x{len(row['attempts'])}", style="bold yellow")
    return line


def _service(row: Row) -> str:
    named = [attempt["service"] for attempt in row["attempts"] if attempt["service"]]
    return str(named[-1]) if named else "-"
