"""I/O: the access report: every request of a period that is as asked, failed and anonymous ones included."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from clickhouse_connect.driver import Client

from pipeline.document import lineage_document, rfc3339_us
from pipeline.report.files import Form, report_file
from pipeline.report.manifest import Tally
from pipeline.store.conditions import Wanted, condition_of
from pipeline.store.period import lineages_of


def write_rows(
    client: Client, wanted: Wanted, path: Path, form: Form, on_rows: Callable[[int], None]
) -> tuple[Tally, int]:
    """Write the rows, oldest first; the same data gives the same bytes.

    Args:
        client: Of the store.
        wanted: With both ends of the period.
        path: Where to.
        form: Of the file.
        on_rows: Told how many rows were written, now and then.

    Returns:
        What was counted, and how many cells were escaped.

    Raises:
        ReportError: The file could not be written.
        clickhouse_connect.driver.exceptions.Error: The store refused, or did not answer.
    """
    tally = Tally()
    with report_file(path, form) as writer:
        for lineages in lineages_of(client, wanted):
            for lineage in lineages:
                document = lineage_document(lineage)
                writer.write(document)
                tally.add(document)
            on_rows(tally.rows)
    return tally, writer.changed_cells


def dead_letters_of(client: Client, wanted: Wanted) -> int:
    """Count what arrived in the period and could not be read."""
    ((count,),) = client.query(
        "SELECT count() FROM dead_letters WHERE arrival_time >= fromUnixTimestamp64Micro({since:Int64}, 'UTC') "
        "AND arrival_time < fromUnixTimestamp64Micro({until:Int64}, 'UTC')",
        {"since": wanted.since_us, "until": wanted.until_us},
    ).result_rows
    return int(count)


def asked_for(wanted: Wanted, filters: dict[str, Any]) -> dict[str, Any]:
    """Say what was asked: the period, half open; the filters; the condition and its digest."""
    condition = condition_of(wanted)
    text = orjson.dumps([condition.sql, condition.parameters], option=orjson.OPT_SORT_KEYS)
    return {
        "period": {
            "from": rfc3339_us(wanted.since_us),
            "to": rfc3339_us(wanted.until_us),
            "bounds": "[from, to)",
            "of": "start_time",
            "zone": "UTC",
        },
        "filters": filters,
        "query": {
            "sql": f"SELECT * FROM lineage WHERE {condition.sql} ORDER BY start_time, request_id, rec_id",  # noqa: S608
            "parameters": condition.parameters,
            "sha256": hashlib.sha256(text).hexdigest(),
        },
    }


def made_now(now_us: int, place: str, version: str) -> dict[str, Any]:
    """Say when and from what a report was made."""
    when = datetime.fromtimestamp(now_us / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"made_at": when, "made_by": f"hoptrail {version}", "store": place}
