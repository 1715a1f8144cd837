"""Sends a history through the real sockets: edge lines over TCP, octet-counted, and entries by POST.

Both halves of a request go out within one slice, so that they meet in the join's window although they are
hours old.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pipeline.addresses import split_address
from pipeline.demo.history import Logged
from pipeline.demo.log_queue import open_log_queue

_SLICE = 100


async def send_history(
    logged: Iterable[Logged],
    *,
    syslog_tcp: str,
    http_log: Mapping[str, Any],
    ingest_url: str,
    on_sent: Callable[[int], object],
) -> int:
    """Send everything; gives the number of records sent, of both kinds.

    Args:
        logged: In the order of the edge's log.
        syslog_tcp: Where edge lines go, `host:port`.
        http_log: The configuration of the http-log plugin.
        ingest_url: Where entries go.
        on_sent: Called with the number of requests of each slice.

    Raises:
        OSError: Nobody listens there any more.
    """
    records = 0
    _, writer = await asyncio.open_connection(*split_address(syslog_tcp))
    try:
        async with open_log_queue(http_log, ingest_url) as queue:
            for part in _slices(logged):
                for one in part:
                    if one.edge_line is not None:
                        writer.write(b"%d %b" % (len(one.edge_line), one.edge_line))
                        records += 1
                    for entry in one.entries:
                        queue.put(entry)
                        records += 1
                await writer.drain()
                await queue.drained(_SLICE)
                on_sent(len(part))
    finally:
        writer.close()
        await writer.wait_closed()
    return records


def _slices(logged: Iterable[Logged]) -> Iterator[list[Logged]]:
    rest = iter(logged)
    while part := list(itertools.islice(rest, _SLICE)):
        yield part
