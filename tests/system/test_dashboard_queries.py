"""The questions of `dashboards/queries/` run through the read door, on full and on empty data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

QUERIES = sorted((Path(__file__).parents[2] / "dashboards" / "queries").glob("*.sql"))


def _rows(url: str, file: Path) -> list[dict[str, Any]]:
    answer = httpx.post(
        f"{url}/",
        params={"database": "hoptrail", "default_format": "JSON"},
        content=file.read_bytes(),
        trust_env=False,
    )
    assert answer.status_code == 200, (file.name, answer.text)
    return list(answer.json()["data"])


def test_every_question_is_answered_on_full_and_on_empty_data(
    serve: Callable[..., Any], haproxy_lines: list[bytes], kong_bodies: list[bytes]
) -> None:
    process = serve(window_s=1)
    url = process.addresses["read_url"]
    assert len(QUERIES) >= 5
    assert all(_rows(url, file) == [] for file in QUERIES)
    process.send(*haproxy_lines[:700])
    assert process.post(b"[" + b",".join(kong_bodies[:400]) + b"]") == 200
    process.wait_for(
        lambda status: status["join"]["pending"] == 0 and status["sources"]["kong"]["stored"] == 400
    )
    process.wait_for(lambda status: status["sources"]["haproxy"]["pending"] == 0)
    for file in QUERIES:
        assert _rows(url, file), file.name
