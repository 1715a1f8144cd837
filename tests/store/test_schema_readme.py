"""Schema, JSON contract and documentation name the same things."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.columns import ATTEMPT, ROW, TRY, Column
from pipeline.store.connection import Connection
from pipeline.store.statements import STORED_EDGE

SCHEMAS = Path(__file__).parents[2] / "schemas"
README = (SCHEMAS / "README.md").read_text(encoding="utf-8")
_DRAWN = {
    "phases",
    "edge.termination_text",
    "attempts.delivered",
    "attempts.delivered_by",
    "attempts.duration_ms",
    "attempts.tries",
}
"""In the document alone: worked out of the rest, or shaped otherwise."""


def documented(heading: str) -> dict[str, str]:
    """Give names and types of the table beneath a heading."""
    section = re.split(r"^## ", README, flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(heading))
    return dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE))


def existing(connection: Connection, name: str) -> dict[str, str]:
    rows = connection.client.query(
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {t:String}",
        parameters={"t": name},
    ).result_rows
    return dict(rows)


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("View `lineage`", "lineage"),
        ("Table `lineage_ids`", "lineage_ids"),
        ("Table `fragments`", "fragments"),
        ("View `attempts`", "attempts"),
        ("View `tries`", "tries"),
        ("View `edge_events`", "edge_events"),
        ("View `dead_letters`", "dead_letters"),
        ("View `ledger`", "ledger"),
        ("View `edge_counters`", "edge_counters"),
        ("View `lineage_minutes`", "lineage_minutes"),
        ("View `lineage_minute_states`", "lineage_minute_states"),
        ("View `otel_traces`", "otel_traces"),
        ("View `otel_traces_trace_id_ts`", "otel_traces_trace_id_ts"),
    ],
)
def test_every_column_is_explained_with_its_type_and_no_other(
    connection: Connection, heading: str, name: str
) -> None:
    assert documented(heading) == existing(connection, name)


def test_the_lineage_view_has_every_field_that_is_stored(connection: Connection) -> None:
    expected = {column.name: column.kind.stored for column in ROW if column.name != "is_deleted"}
    expected |= dict(_shown("edge.", STORED_EDGE, "{}"))
    attempts = [column for column in ATTEMPT if column.field != "tries"]
    expected |= dict(_shown("attempts.", attempts, "Array({})")) | dict(_shown("tries.", TRY, "Array({})"))
    view = existing(connection, "lineage")
    assert {name: view.get(name) for name in expected} == expected


def _shown(prefix: str, columns: Iterable[Column], kind: str) -> Iterator[tuple[str, str]]:
    """Give the name and the type under which an element of a tuple is shown: times as such."""
    for column in columns:
        stored = "DateTime64(6, 'UTC')" if column.name.endswith("_us") else column.kind.stored
        name = re.sub("started_us$", "started_at", column.name)
        yield prefix + re.sub("_us$", "_time", name), kind.format(stored)


def leaves(schema: dict[str, Any], root: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Give the dotted names of a JSON schema's leaves; elements of lists count as the list."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for option in schema.get("anyOf", schema.get("oneOf", [])):
        yield from leaves(option, root, prefix)
    if "items" in schema and isinstance(schema["items"], dict):
        yield from leaves(schema["items"], root, prefix)
    for name, inner in schema.get("properties", {}).items():
        deeper = list(leaves(inner, root, f"{prefix}{name}."))
        yield from deeper or [f"{prefix}{name}"]


def test_every_name_of_the_json_contract_is_a_column_of_the_view(connection: Connection) -> None:
    contract = json.loads((SCHEMAS / "lineage.schema.json").read_text(encoding="utf-8"))
    names = {name.replace("attempts.tries.", "tries.") for name in leaves(contract, contract)}
    assert len(names) > 80
    missing = names - set(existing(connection, "lineage"))
    assert {name for name in missing if not name.startswith("phases.")} <= _DRAWN
