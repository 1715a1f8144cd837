"""Replaying old logs into a store that would drop them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

LOG_FORMAT = (
    "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs "
    "%{+Q}r %ID"
)


def test_a_replay_of_logs_older_than_the_retention_warns_once_and_else_not(
    tmp_path: Path, haproxy_lines: list[bytes], command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    log, store = tmp_path / "haproxy.log", ("--store", f"chdb://{tmp_path}/store")
    log.write_bytes(b"\n".join(haproxy_lines[:200]).replace(b"/Nov/2026:", b"/Nov/2020:") + b"\n")
    words = ("replay", "--haproxy", log, "--log-format", LOG_FORMAT, *store)
    assert "older" not in command(*words).stderr
    command("schema", "retention", "apply", "--lineage", "90d", *store)
    assert command(*words).stderr.count("older than the 90 days that this store keeps") == 1
    command("schema", "retention", "apply", "--lineage", "off", *store)
    assert "older" not in command(*words).stderr
