"""The real HAProxy in front of the stand-in gateway, the real process behind both."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pipeline.demo.haproxy_process import find_haproxy
from pipeline.demo.scene import scene

pytestmark = [
    pytest.mark.haproxy,
    pytest.mark.skipif(find_haproxy() is None, reason="needs the haproxy binary; `make test` installs it"),
]


async def test_two_thousand_requests_of_a_client_have_their_lineage(tmp_path: Path) -> None:
    async with scene(tmp_path / "data", real_haproxy=True, seed=1) as parts:
        seen = parts.traffic.seen
        async with asyncio.timeout(120):
            await parts.traffic.run(rate=400.0, until=lambda: seen.sent >= 2000, every_trouble_s=1.0)
        assert len(seen.answered) > 1900
        assert await parts.questions.wait_stored(lambda: parts.log.waiting == 0, 60.0)
        found = await parts.questions.stored_status(list(seen.answered))
        assert found == seen.answered
        rows = await parts.questions.query(
            "SELECT match, count() AS count FROM lineage WHERE outcome = 'complete' GROUP BY match"
        )
        proven = {row["match"]: int(row["count"]) for row in rows}
        assert proven["proven"] > 1800
