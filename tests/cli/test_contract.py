"""The contract of `-o json` on everything that was captured, and its names."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from pipeline.document import lineage_document
from pipeline.model import Lineage
from pipeline.resources import resource

SCHEMA: dict[str, Any] = json.loads(resource("schemas/lineage.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
TOP_LEVEL = set(
    """
    request_id trace_id trace_id_source start_time end_time duration_ms outcome match missing final method
    scheme host path query http_version status user_agent client_ip client_port request_bytes
    response_bytes edge attempts identity phases verdict flags clock_offset_ms
    """.split()  # noqa: SIM905 -- thirty words read better without quotes
)
"""The names that design section 4 fixed; more may come, none may go."""


def faults(document: dict[str, Any]) -> list[str]:
    return [f"{fault.json_path}: {fault.message[:200]}" for fault in VALIDATOR.iter_errors(document)]


def test_every_captured_lineage_is_what_the_schema_says(
    corpus: list[Lineage], captured: dict[str, list[Lineage]], stories: dict[str, Lineage]
) -> None:
    lineages = [*corpus, *stories.values(), *(one for case in captured.values() for one in case)]
    assert len(lineages) > 2500
    found = {fault for lineage in lineages for fault in faults(lineage_document(lineage))}
    assert found == set()


def test_the_document_has_the_names_of_the_schema_and_the_schema_those_of_the_design(
    stories: dict[str, Lineage],
) -> None:
    document = lineage_document(stories["retried"])
    assert list(document) == list(SCHEMA["properties"])
    assert set(document) >= TOP_LEVEL
    definitions = SCHEMA["$defs"]
    assert list(document["edge"]) == list(definitions["edge"]["properties"])
    assert list(document["attempts"][2]) == list(definitions["attempt"]["properties"])
    assert list(document["attempts"][2]["tries"][0]) == list(definitions["try"]["properties"])
    for name in ("identity", "verdict"):
        assert list(document[name]) == list(SCHEMA["properties"][name]["properties"])
    assert list(document["phases"][0]) == list(SCHEMA["properties"]["phases"]["items"]["properties"])
