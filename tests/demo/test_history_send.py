"""A history goes out over the sockets that HAProxy and Kong would use, both halves close together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.demo.declared import Declared
from pipeline.demo.history import Logged
from pipeline.demo.history_send import send_history

if TYPE_CHECKING:
    from conftest import Taker

COUNT = 250


async def test_lines_are_framed_by_their_length_and_halves_go_together(
    declared: Declared, taker: Taker
) -> None:
    stream, lines_by_post = bytearray(), []

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            stream.extend(data)
        writer.close()

    def framed() -> list[bytes]:
        rest, found = bytes(stream), []
        while rest:
            length, _, rest = rest.partition(b" ")
            found.append(rest[: int(length)])
            rest = rest[int(length) :]
        return found

    def on_sent(count: int) -> None:
        lines_by_post.append(count)

    logged = [
        Logged(str(number), b"<134>1 line %d" % number, (b'{"n":%d}' % number,)) for number in range(COUNT)
    ]
    logged[7] = Logged("7", None, (b'{"n":7}',))
    logged[9] = Logged("9", b"<134>1 line 9", ())
    server = await asyncio.start_server(on_client, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        records = await send_history(
            logged,
            syslog_tcp=f"127.0.0.1:{port}",
            http_log=declared.http_log,
            ingest_url=taker.url,
            on_sent=on_sent,
        )
        await taker.until(lambda: stream.endswith(b"line %d" % (COUNT - 1)))
    assert records == 2 * COUNT - 2
    assert framed() == [one.edge_line for one in logged if one.edge_line is not None]
    assert [entry["n"] for entry in taker.entries] == [number for number in range(COUNT) if number != 9]
    assert lines_by_post == [100, 100, 50]
