"""Everything that `hoptrail serve` is, on a data directory and free ports, until standard input ends.

Argument: the data directory. Writes a line once it serves.
"""

from __future__ import annotations

import asyncio
import sys

from pipeline.config import load_config
from pipeline.topology import running


async def main(data_dir: str) -> None:
    free = "127.0.0.1:0"
    options = {
        "data_dir": data_dir,
        "sources.syslog.udp": free,
        "sources.syslog.tcp": free,
        "sources.kong.listen": free,
        "door.listen": free,
    }
    async with running(load_config(None, options, {}), lambda: sys.exit(1)):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
