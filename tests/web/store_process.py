"""The door over our real store, filled with the captured corpus, in a process of its own.

Arguments: the store's directory, and the door's configuration as JSON. Writes the address on a line of its
own, logs to stderr, ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.config import DoorConfig
from pipeline.contracts import Batch
from pipeline.formats.haproxy import HaproxyParser
from pipeline.formats.kong import KongParser, split_body
from pipeline.formats.redact import Redactor
from pipeline.http_server import HttpServer
from pipeline.join.joiner import Joiner
from pipeline.join.limits import JoinLimits
from pipeline.join.settle import settle
from pipeline.model import EdgeRecord, GatewayRecord, Lineage
from pipeline.sinks.clickhouse import open_sink
from pipeline.web.door import door_app

CORPUS = Path(__file__).resolve().parents[1] / "captures" / "kong" / "corpus"


def records() -> Iterator[EdgeRecord | GatewayRecord]:
    """Give the records of 1500 captured requests."""
    redactor = Redactor(b"a key of the tests alone")
    kong, haproxy = KongParser(redactor=redactor), HaproxyParser(redactor=redactor)
    for line in (CORPUS / "kong.jsonl").read_text(encoding="utf-8").splitlines():
        post = json.loads(line)
        body = base64.b64decode(post["body_b64"]) if "body_b64" in post else post["body"].encode()
        for entry in split_body(body):
            record = kong.parse(entry, offset=0, arrival_ns=0, peer="10.0.2.1")
            if isinstance(record, GatewayRecord):
                yield record
    for line in (CORPUS / "haproxy.log").read_bytes().splitlines():
        record = haproxy.parse(line, offset=0, arrival_ns=0, peer="10.0.1.1")
        if isinstance(record, EdgeRecord):
            yield record


def lineages() -> list[Lineage]:
    """Join them."""
    joiner = Joiner(JoinLimits(window_ns=1, max_pending=1_000_000, max_per_key=64))
    for record in records():
        joiner.add(record, 0)
    return [lineage for group in (*joiner.due(0), *joiner.flush()) for lineage in settle(group, ()).lineages]


async def main(directory: str, config: DoorConfig) -> None:
    async with open_sink(f"chdb://{directory}") as store:
        await store.write(Batch(lineages(), (), ()))
        async with HttpServer(door_app(store.open_handle, config), config.listen) as server:
            sys.stdout.write(f"{server.address}\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s %(message)s")
    asyncio.run(main(sys.argv[1], DoorConfig.model_validate(json.loads(sys.argv[2]))))
