"""A replay over more days than one insert may span."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

LOG_FORMAT = (
    "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs "
    "%{+Q}r %ID"
)
DAYS = 200


def test_records_dead_letters_and_events_of_200_days_are_all_stored(
    tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    first = datetime(2026, 1, 1, 12, tzinfo=UTC)
    log = tmp_path / "haproxy.log"
    with log.open("w", encoding="utf-8") as file:
        for day in range(DAYS):
            at = first + timedelta(days=day)
            head = f"<134>{at:%b %d %H:%M:%S} haproxy[1]: "
            file.write(
                f"{head}192.0.2.9:40001 [{at:%d/%b/%Y:%H:%M:%S.000}] fe kong/kong1 0/0/0/6/6 200 778 - - ---- "
                f'1/1/1/1/0 0/0 {{raw}} "GET /{day} HTTP/1.1" 00000000-0000-4000-8000-{day:012d}\n'
            )
            file.write(
                f"{head}192.0.2.9:40001 [{at:%d/%b/%Y:%H:%M:%S.000}] fe kong/kong1 this is no request line\n"
            )
            file.write(f"{head}Server kong/kong1 is DOWN, reason: Layer4 timeout, check duration: 1000ms.\n")
    words = ("replay", "--haproxy", log, "--log-format", LOG_FORMAT, "--store", f"chdb://{tmp_path}/store")
    account = json.loads(command(*words, "-o", "json").stdout)
    row = account["sources"]["haproxy"]
    assert (row["received"], row["stored"], row["dead_letter"], row["event"]) == (3 * DAYS, DAYS, DAYS, DAYS)
    assert sum(account["lineages"].values()) == DAYS
