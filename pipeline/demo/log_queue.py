"""The gateway's log queue: entries gathered into posts and sent until they are taken, as Kong's queue does.

Kong 3.9 `kong/tools/queue.lua` and http-log: an array where batches may hold more than one, one post in
flight, any status of 300 or more sends the same bytes again, and after `max_retry_time` they are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httptools

from pipeline.demo.http1 import HttpConnection

USER_AGENT = "stand-in gateway, not Kong"
_SUCCESS_BELOW = 300


@asynccontextmanager
async def open_log_queue(
    config: Mapping[str, Any], url: str, *, flush_s: float = 10.0
) -> AsyncIterator[LogQueue]:
    """Give a queue that sends until the block is left, and then for at most `flush_s` what it still holds."""
    queue = LogQueue(config, url)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(queue.run())
        try:
            yield queue
        finally:
            queue.close()
            await asyncio.wait({task}, timeout=flush_s)
            task.cancel()


class LogQueue:
    """What waits to be sent, and the counts of what was.

    Args:
        config: The `config` of an http-log plugin.
        url: Where to send, in place of the `http_endpoint` there.
    """

    def __init__(self, config: Mapping[str, Any], url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path
        self._headers = [
            ("Host", f"{self._host}:{self._port}"),
            ("User-Agent", USER_AGENT),
            ("Content-Type", config.get("content_type", "application/json")),
            *((name, str(value)) for name, value in config.get("headers", {}).items()),
        ]
        self._queue = {
            "max_batch_size": 1, "max_coalescing_delay": 1.0, "max_entries": 10_000, "max_retry_time": 60.0,
            "initial_retry_delay": 0.01, "max_retry_delay": 60.0, **config.get("queue", {}),
        }  # fmt: skip
        self._timeout_s = config.get("timeout", 10_000) / 1000
        self._entries: deque[bytes] = deque()
        self._held: dict[asyncio.TimerHandle, bytes] = {}
        self._wake = asyncio.Event()
        self._taken = asyncio.Event()
        self._in_flight = 0
        self._closing = False
        self._connection: HttpConnection | None = None
        self.posts = self.sent = self.refused = self.lost = 0

    @property
    def waiting(self) -> int:
        """Entries not yet taken, held ones included."""
        return len(self._entries) + len(self._held) + self._in_flight

    def put(self, entry: bytes) -> None:
        """Add an entry; a full queue drops its oldest."""
        if len(self._entries) >= self._queue["max_entries"]:
            self._entries.popleft()
            self.lost += 1
        self._entries.append(entry)
        self._wake.set()

    def put_later(self, entry: bytes, delay_s: float) -> None:
        """Add an entry after some time; not Kong's doing, but the demo's way to a late half."""

        def put() -> None:
            self.put(self._held.pop(timer))

        timer = asyncio.get_running_loop().call_later(delay_s, put)
        self._held[timer] = entry

    async def drained(self, below: int) -> None:
        """Wait until fewer entries than that are queued."""
        while len(self._entries) + self._in_flight >= below:
            self._taken.clear()
            await self._taken.wait()

    def close(self) -> None:
        """Send what is queued or held without waiting for more, then end `run`."""
        for timer in tuple(self._held):
            timer.cancel()
            self._entries.append(self._held.pop(timer))
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Send until closed."""
        try:
            while self._entries or not self._closing:
                if not self._entries:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._coalesce()
                count = min(len(self._entries), self._queue["max_batch_size"])
                self._in_flight = count
                await self._deliver([self._entries.popleft() for _ in range(count)])
                self._in_flight = 0
                self._taken.set()
        finally:
            self.lost += self.waiting
            await self._disconnect()

    async def _coalesce(self) -> None:
        """Wait until a batch is full, or for as long as the first may wait."""
        size = self._queue["max_batch_size"]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._queue["max_coalescing_delay"]):
                while len(self._entries) < size and not self._closing:
                    self._wake.clear()
                    await self._wake.wait()

    async def _deliver(self, batch: list[bytes]) -> None:
        body = b"[" + b",".join(batch) + b"]" if self._queue["max_batch_size"] > 1 else batch[0]
        until, delay_s = time.monotonic() + self._queue["max_retry_time"], self._queue["initial_retry_delay"]
        while not await self._post(body):
            self.refused += 1
            if time.monotonic() + delay_s > until:
                self.lost += len(batch)
                return
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, self._queue["max_retry_delay"])
        self.sent += len(batch)

    async def _post(self, body: bytes) -> bool:
        self.posts += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._connection is None or not self._connection.is_open:
                    await self._disconnect()
                    self._connection = await HttpConnection.open(self._host, self._port)
                answer = await self._connection.exchange("POST", self._path, self._headers, body)
        except (OSError, TimeoutError, httptools.HttpParserError):
            await self._disconnect()
            return False
        return answer.status < _SUCCESS_BELOW

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
