"""Asks the running server whether all that was sent is stored, and whether its account is right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipeline.demo.http1 import Answer, HttpConnection
from pipeline.errors import RetryableError

_POLL_S = 0.1
_IDS_PER_QUERY = 200
_KINDS = ("stored", "event", "duplicate", "dead_letter", "dropped", "pending")
_OK = 200


class Verdict(NamedTuple):
    """Whether the demo's own sums come out."""

    faults: tuple[str, ...]
    """One sentence each; none: all is well."""
    text: str
    """The figures, in one line."""


class Questions:
    """Asks one server.

    Args:
        ingest_url: Where `/status` is.
        read_url: The read door.
    """

    def __init__(self, ingest_url: str, read_url: str) -> None:
        self._ingest_url = ingest_url
        self._read_url = read_url

    async def status(self) -> dict[str, Any]:
        """Give the document that `hoptrail status` shows."""
        answer = await _ask(self._ingest_url, "GET", "/status")
        tree: dict[str, Any] = json.loads(answer.body)
        return tree

    async def wait_stored(self, nothing_on_its_way: Callable[[], bool], within_s: float) -> bool:
        """Wait until nothing is pending, with windows ended; False where that takes too long."""
        try:
            async with asyncio.timeout(within_s):
                while not (  # noqa: ASYNC110 -- what is waited for is in another process
                    nothing_on_its_way() and _pending((await self.status())["sources"]) == 0
                ):
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        return True

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """Ask the read door.

        Raises:
            RetryableError: It did not answer.
        """
        answer = await _ask(
            self._read_url, "POST", "/?database=hoptrail", (sql + " FORMAT JSONEachRow").encode()
        )
        if answer.status != _OK:
            raise RetryableError(f"the read door said {answer.status}: {answer.body[:300]!r}")
        return [json.loads(line) for line in answer.body.splitlines() if line]

    async def stored_status(self, request_ids: list[str]) -> dict[str, int]:
        """Give the status in the lineage of each id that has one."""
        found: dict[str, int] = {}
        for start in range(0, len(request_ids), _IDS_PER_QUERY):
            wanted = ", ".join(f"'{one}'" for one in request_ids[start : start + _IDS_PER_QUERY])
            rows = await self.query(f"SELECT request_id, status FROM lineage WHERE request_id IN ({wanted})")  # noqa: S608 -- ids that our own edge made
            found |= {row["request_id"]: int(row["status"] or 0) for row in rows}
        return found

    async def judge(
        self, answered: Mapping[str, int], entries_sent: int, lines_at_least: int, before: Mapping[str, Any]
    ) -> Verdict:
        """Compare what was sent and seen with the account and the store.

        Args:
            answered: Status by request id, as the client saw them.
            entries_sent: Of the gateway, taken by the server.
            lines_at_least: Of the edge.
            before: `sources` of the status when the demo began.
        """
        sources = (await self.status())["sources"]
        faults = [*_sums(sources)]
        entries = sources["kong"]["received"] - before["kong"]["received"]
        lines = sources["haproxy"]["received"] - before["haproxy"]["received"]
        if entries != entries_sent:
            faults.append(f"{entries_sent} gateway entries were taken, {entries} are in the account")
        if lines < lines_at_least:
            faults.append(f"{lines_at_least} edge lines were sent, {lines} are in the account")
        found = await self.stored_status(list(answered))
        if absent := answered.keys() - found.keys():
            faults.append(f"{len(absent)} answered requests have no lineage, such as {min(absent)}")
        other = [one for one, status in found.items() if status != answered[one]]
        if other:
            faults.append(
                f"{len(other)} lineages have another status than the client saw, such as {min(other)}"
            )
        return Verdict(
            tuple(faults),
            f"{lines} edge lines and {entries} gateway entries received, all accounted for; "
            f"{len(answered)} answered live requests, {len(found)} with their lineage",
        )


def _sums(sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name the sources whose account does not come out, or that lost something."""
    faults = []
    for name, row in sources.items():
        if row["received"] != sum(row[kind] for kind in _KINDS):
            faults.append(f"the account of {name} does not sum up: {dict(row)}")
        faults += [
            f"{row[kind]} of {name} are {kind}" for kind in ("dead_letter", "dropped", "pending") if row[kind]
        ]
    return faults


def _pending(sources: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(int(row["pending"]) for row in sources.values())


async def _ask(url: str, method: str, target: str, body: bytes = b"") -> Answer:
    parts = urlsplit(url)
    connection = await HttpConnection.open(parts.hostname or "127.0.0.1", parts.port or 80)
    try:
        headers = [("Host", parts.netloc), ("User-Agent", "hoptrail-demo"), ("Connection", "close")]
        return await connection.exchange(method, target, headers, body)
    finally:
        await connection.close()
