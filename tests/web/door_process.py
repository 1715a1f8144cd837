"""The door in a process of its own, as the tests want it: an embedded engine, our schema, real HTTP.

Arguments: the engine's directory, and the door's configuration as JSON. Writes the address on a line of its
own, logs to stderr, ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from functools import partial
from pathlib import Path

import chdb

from pipeline.config import DoorConfig
from pipeline.http_server import HttpServer
from pipeline.web.door import door_app

OWN_PASSWORD = "a password of our own"


async def main(directory: str, config: DoorConfig) -> None:
    engine = chdb.connect(directory)
    for statement in (Path(__file__).with_name("schema.sql")).read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            engine.query(statement)
    app = door_app(partial(chdb.connect, directory), config, own_password=OWN_PASSWORD)
    async with HttpServer(app, config.listen, tls=config.tls) as server:
        sys.stdout.write(f"{server.address}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    engine.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s %(message)s")
    asyncio.run(main(sys.argv[1], DoorConfig.model_validate(json.loads(sys.argv[2]))))
